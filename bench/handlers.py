"""Measures the time that each route spends in a function's own code.

    python -m bench.handlers [--root .local] [--services auth post] [--rounds 200] [--json]

Needs a running platform (`make up`). Each service runs in this process with the variables of its
deployed function, and receives complete API Gateway events. The benchmark subtracts the time of
calls to AWS, database and cache, including the client libraries. bench/scenarios.py defines the
calls of a round.
"""

from __future__ import annotations

import functools
import importlib
import io
import json
import os
import statistics
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from bench import create_parser
from bench.scenarios import SCENARIOS, Caller
from ops.root import DEFAULT_ROOT, Root
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import User
from tests.lambdas.support import rest_event

EXTERNAL_CALLS = (
    ("botocore.client", "BaseClient", ("_make_api_call",)),
    (
        "pg8000.core",
        "CoreConnection",
        ("__init__", "execute_simple", "execute_unnamed", "execute_named"),
    ),
    ("valkey.connection", "Connection", ("connect", "send_packed_command", "read_response")),
    ("redis.connection", "Connection", ("connect", "send_packed_command", "read_response")),
    ("urllib3.connectionpool", "HTTPConnectionPool", ("urlopen",)),
    ("time", "sleep", ()),
)
"""The functions that call AWS, the database and the cache, or wait.

Each entry names a module, a class of the module, and methods of the class. If the entry has no
methods, its second name is a function of the module.
"""


class Stopwatch:
    """Adds up the time of all calls in EXTERNAL_CALLS. Counts nested calls once."""

    def __init__(self) -> None:
        self._local = threading.local()
        self.outside = 0.0

    def install(self) -> None:
        """Wraps the functions in EXTERNAL_CALLS to measure the time of each later call."""
        for module_name, name, methods in EXTERNAL_CALLS:
            module = importlib.import_module(module_name)
            owner = getattr(module, name) if methods else module
            for method in methods or (name,):
                setattr(owner, method, self._timed(getattr(owner, method)))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            if getattr(self._local, "inside", False):
                return function(*arguments, **named)
            self._local.inside, begun = True, time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self._local.inside = False
                self.outside += time.perf_counter() - begun

        return timed


class Session:
    """Calls one service as one user and records how many seconds its code takes, by route."""

    def __init__(self, platform: Platform, service: str, stopwatch: Stopwatch) -> None:
        self.platform = platform
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._stopwatch = stopwatch
        name = f"{service}-lambda-local"
        configuration = platform.aws("lambda").get_function_configuration(
            FunctionName=name, Qualifier="live"
        )
        variables = {**configuration["Environment"]["Variables"], "LOG_LEVEL": "INFO"}
        os.environ.update(variables)
        self._handle = importlib.import_module(f"lambdas.{service}.handler").build(variables)
        self.user = User.create(platform, "Ann Example")

    def call(
        self, method: str, route: str, body: object = None, *, user: User | None = None, **more: Any
    ) -> Any:
        """Calls a route and returns the JSON of the response.

        Args:
            more: `query`, `headers` and `token`, all optional, and the route's path parameters by
                name.
        """
        query, headers, token = (more.pop(name, None) for name in ("query", "headers", "token"))
        caller = user or self.user
        context = {
            "sub": caller.user_id,
            "sid": caller.session_id,
            "roles": "user",
            "cap": "",
            "exp": str(2**33),
        }
        sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        event = rest_event(
            method,
            route.format(**more),
            body,
            headers=sent,
            query=query,
            authorizer=None if token else context,
            source_ip=str(uuid.uuid4()),  # a new address avoids the rate limits per IP address
        )
        outside, begun = self._stopwatch.outside, time.perf_counter()
        response = self._handle(event, None)
        elapsed = time.perf_counter() - begun - (self._stopwatch.outside - outside)
        assert response["statusCode"] < 400, (method, route, response)
        self.seconds[f"{method} {route}"].append(elapsed)
        return json.loads(response["body"]) if response["body"] else None


def measure(
    platform: Platform, service: str, rounds: int, stopwatch: Stopwatch
) -> Mapping[str, list[float]]:
    """Returns the durations of each route's calls in seconds, without those of a warm-up round."""
    session = Session(platform, service, stopwatch)
    scenario: Callable[[Caller], None] = SCENARIOS[service]
    scenario(session)
    session.seconds.clear()
    for _ in range(rounds):
        scenario(session)
    return session.seconds


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        default=DEFAULT_ROOT,
        help="directory of the local platform's data (default: .local)",
    )
    parser.add_argument(
        "--services",
        nargs="*",
        default=list(SCENARIOS),
        help="services to measure (default: all that have scenarios)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=200,
        help="number of measured rounds, each of which calls every route (default: 200)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()

    platform = Platform.load(Root(arguments.root).path.resolve(), is_own=False)
    os.environ.update(platform.cloud.variables)
    os.environ.setdefault("AWS_ENDPOINT_URL", platform.cloud.endpoint or "")
    stopwatch = Stopwatch()
    stopwatch.install()
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for service in arguments.services:
        # The functions write logs to stdout. They are discarded, but the time to write them counts.
        with redirect_stdout(io.StringIO()):
            seconds = measure(platform, service, arguments.rounds, stopwatch)
        measured[service] = {route: _figures(values) for route, values in seconds.items()}
    if arguments.json:
        print(json.dumps(measured, indent=2))
        return
    print(f"{'route':<55} {'p50 (ms)':>9} {'p99 (ms)':>9}")
    for routes in measured.values():
        for route, figures in routes.items():
            print(f"{route:<55} {figures['p50']:>9.2f} {figures['p99']:>9.2f}")


def _figures(seconds: list[float]) -> dict[str, float]:
    """Returns percentiles of durations, in milliseconds."""
    if len(seconds) < 2:
        sys.exit("Use at least 2 rounds: percentiles need several calls")
    percentiles = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": percentiles[49] * 1000, "p99": percentiles[98] * 1000}


if __name__ == "__main__":
    main()
