"""Checks the health of a deployed platform."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import urllib3

from ops.console import Progress
from ops.errors import OperatorError

TIMEOUT = 60.0
"""Seconds. The first response waits for a cold start and for new connections."""
INTERVAL = 0.5
"""Seconds between requests."""
REQUEST_TIMEOUT = 10.0
"""Seconds to wait for a response."""
START_TIMEOUT = 30.0
"""Seconds to wait for the response of a platform that starts. API Gateway responds within 29 s.
With a shorter timeout, the first worker of the function would still be busy when the next request
arrives, and the request would start another worker.
"""


@dataclass(frozen=True)
class Health:
    """A response of /health. The status is 0 if there was no response."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return self.status == 200

    def describe(self) -> str:
        """Returns the body as text, for example `ok (dynamodb ok, database ok, cache ok)`."""
        match self.body:
            case str(text):
                return text
            case {"status": status, "checks": dict(checks)}:
                return f"{status} ({', '.join(f'{name} {each}' for name, each in checks.items())})"
            case other:
                return json.dumps(other, sort_keys=True)


def get_health(url: str, authority: str | None = None, timeout: float = REQUEST_TIMEOUT) -> Health:
    """Calls /health once. A failed request is returned as status 0.

    Args:
        authority: Path of a PEM file with the trusted certificate authorities. By default, the
            authorities of the operating system.
        timeout: Seconds.
    """
    try:
        with urllib3.PoolManager(ca_certs=authority) as pool:
            response = pool.request("GET", url, timeout=timeout, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        return Health(0, str(error))
    text = response.data.decode(errors="replace")
    try:
        return Health(response.status, json.loads(text))
    except json.JSONDecodeError:
        return Health(response.status, text[:500])


def wait_until_healthy(url: str, authority: str | None = None, timeout: float = TIMEOUT) -> Health:
    """Calls /health until it returns 200.

    Args:
        authority: As for `get_health`.
        timeout: Seconds.

    Raises:
        OperatorError: The timeout expired. The message contains the last response.
    """
    deadline = time.monotonic() + timeout
    with Progress() as progress:
        while not (health := get_health(url, authority, START_TIMEOUT)).ok:
            if time.monotonic() >= deadline:
                raise OperatorError(
                    f"{url} is not healthy after {timeout:.0f} s:"
                    f" {health.status} {health.describe()}"
                )
            progress.show(f"waiting for /health: {health.status} {health.describe()}")
            time.sleep(INTERVAL)
    return health
