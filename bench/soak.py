"""Measures whether memory, descriptors and disk of a local platform stay constant under load.

Users repeat a sequence of requests at a fixed rate: they sign in, create, read and delete posts,
comments, listings, rooms and messages, and sign out. They delete what they created, so stored data
cannot explain growth. Exit status 1 means that memory exceeded MEMORY_LIMIT, that the memory,
descriptors or disk of the whole platform or the memory of the embedded AWS grew by more than
GROWTH_LIMIT, or that the memory or descriptors of one service or function grew by more than
GROWTH_LIMIT and PROCESS_GROWTH.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import urllib3

from ops.embedded import EmbeddedCloud
from ops.embedded.processes import Processes, find_processes
from ops.local.console_process import CONSOLE
from ops.root import Root
from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person

CLIENTS = 12
"""Number of threads that send requests."""
INTERVAL = 15.0
"""Seconds between two samples."""
MEMORY_LIMIT = 1500.0
"""Maximum MB of memory in all processes of the platform."""
GROWTH_LIMIT = 0.05
"""Maximum relative growth of each median from the third to the fourth quarter of the duration."""
PROCESS_GROWTH = {"memory": 2.0, "descriptors": 3.0}
"""Growth of a single process, in MB and in files, that is allowed even if it exceeds GROWTH_LIMIT.
A worker of a function has 15 open files, so one more connection already exceeds GROWTH_LIMIT.
"""
WORKER = re.compile(r"/ministack-lambda-(\w+)-lambda-")
"""Matches the command line of a function's worker. The group is the function."""
LISTING = {
    "title": "A lamp",
    "description": "A listing",
    "price": {"amount": 100, "currency": "EUR"},
    "category": "other",
}


@dataclass(frozen=True)
class Use:
    """What one service of the platform, or an average worker of one function, uses."""

    processes: int
    """Number of workers. A service counts as one process, including its child processes."""
    memory: float
    """MB of memory. Shared memory is counted once (PSS)."""
    descriptors: float


@dataclass(frozen=True)
class Sample:
    """The platform's use of memory, files and disk at one moment."""

    seconds: float
    requests: int
    memory: float
    """MB of memory of all processes. Shared memory is counted once (PSS)."""
    aws_memory: float
    """MB of memory of the embedded AWS without the functions' processes."""
    descriptors: int
    """Open file descriptors of all processes."""
    disk: float
    """MB on disk in the local platform's directory."""
    processes: int
    load: float
    """The machine's load average over one minute."""
    uses: Mapping[str, Use]
    """The use of each service by its name, such as `database`, and the use of an average worker of
    each function by the function's name and "workers", such as `chat workers`."""


class Rate:
    """Lets requests through at a fixed rate, and counts them."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._lock = threading.Lock()
        self._next = time.monotonic()
        self.requests = 0
        self.failures: dict[str, int] = {}

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            # The rate does not catch up after a slow phase, because the delayed requests would
            # arrive as a burst.
            self._next = max(self._next + self._interval, now)
            pause = self._next - now
            self.requests += 1
        time.sleep(pause)

    def fail(self, reason: str) -> None:
        with self._lock:
            self.failures[reason] = self.failures.get(reason, 0) + 1


class Client:
    """A simulated user who repeats the benchmark's sequence of requests."""

    def __init__(self, platform: Platform, rate: Rate) -> None:
        self._platform = platform
        self._rate = rate
        self._api = Api(platform.api_url)
        self._person = Person.sign_up(platform, self._api)
        self._other = Person.sign_up(platform, self._api)

    def run(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            try:
                self._story()
            except (AssertionError, urllib3.exceptions.HTTPError) as error:
                self._rate.fail(f"{type(error).__name__} {error}"[:120])

    def _story(self) -> None:
        self._person.log_in()
        post = self._call("POST", "/v1/posts", {"content": "A post"})["postId"]
        for _ in range(3):
            comment = {"content": "A comment"}
            self._call("POST", f"/v1/posts/{post}/comments", comment, self._other)
            self._call("GET", f"/v1/posts/{post}")
        self._call("PUT", f"/v1/posts/{post}/like", None, self._other)
        self._call("GET", "/v1/posts?limit=10")
        self._call("GET", "/v1/profile")
        self._call("DELETE", f"/v1/posts/{post}")
        listing = self._call("POST", "/v1/catalog/listings", LISTING)["listingId"]
        self._call("GET", f"/v1/catalog/listings/{listing}", None, self._other)
        self._call("GET", "/v1/catalog/listings?q=lamp&limit=10")
        self._call("DELETE", f"/v1/catalog/listings/{listing}")
        room = self._call("POST", "/v1/chat/rooms", {"name": "Room", "type": "public"})["roomId"]
        self._call("POST", f"/v1/chat/rooms/{room}/join", {}, self._other)
        for _ in range(4):
            self._call("POST", f"/v1/chat/rooms/{room}/messages", {"content": "A message"})
        self._call("GET", f"/v1/chat/rooms/{room}/messages?limit=10", None, self._other)
        self._call("DELETE", f"/v1/chat/rooms/{room}")
        # Each repetition opens a new connection, to detect a server that leaks the descriptors of
        # closed connections.
        self._rate.wait()
        with urllib3.PoolManager() as pool:
            pool.request("GET", f"{self._platform.api_url}/health", retries=False)
        self._call("POST", "/v1/auth/logout", {})

    def _call(
        self, method: str, path: str, body: object = None, person: Person | None = None
    ) -> Any:
        self._rate.wait()
        caller = person or self._person
        response = self._api.call(method, path, body, token=caller.access_token)
        if response.status == 401:
            caller.log_in()
            response = self._api.call(method, path, body, token=caller.access_token)
        assert response.status < 300, f"{method} {path.split('/')[2]} {response.status}"
        return response.json if response.body else None


def measure(root: Root, rate: Rate, begun: float) -> Sample:
    """Returns the current use of memory, files and disk by all processes of the platform."""
    services = {process.pid: name for name, process in EmbeddedCloud(root).running().items()}
    if console := Processes(root).get(CONSOLE):
        services[console.pid] = CONSOLE
    uses: dict[str, dict[int, tuple[float, int]]] = {}
    processes = {process.pid: process for process in find_processes(root)}
    for pid in services.keys() - processes.keys():
        with suppress(psutil.Error):
            # `find_processes` recognizes processes by an environment variable. It omits Valkey,
            # which overwrites its environment variables.
            processes[pid] = psutil.Process(pid)
    for process in list(processes.values()):
        with suppress(psutil.Error):
            # `find_processes` omits PostgreSQL's child processes, which have other environment
            # variables.
            processes.update({child.pid: child for child in process.children(recursive=True)})
    for process in processes.values():
        with suppress(psutil.Error):
            use = (process.memory_full_info().pss / 1e6, process.num_fds())
            uses.setdefault(name_of(process, services), {})[process.pid] = use
    memory = {name: sum(mb for mb, _ in use.values()) for name, use in uses.items()}
    files = {name: sum(count for _, count in use.values()) for name, use in uses.items()}
    workers = {name: len(use) if name.endswith(" workers") else 1 for name, use in uses.items()}
    return Sample(
        seconds=round(time.monotonic() - begun),
        requests=rate.requests,
        memory=round(sum(memory.values()), 1),
        aws_memory=round(memory.get("aws", 0.0), 1),
        descriptors=sum(files.values()),
        disk=round(sum(sizes(root.path)) / 1e6, 1),
        processes=sum(map(len, uses.values())),
        load=round(os.getloadavg()[0], 1),
        uses={
            name: Use(count, round(memory[name] / count, 1), round(files[name] / count, 1))
            for name, count in workers.items()
        },
    )


def name_of(process: psutil.Process, services: Mapping[int, str]) -> str:
    """Returns the key of a process in Sample.uses.

    Args:
        services: the services' names by process id.
    """
    if match := WORKER.search(" ".join(process.cmdline())):
        return f"{match[1]} workers"
    parents = (parent.pid for parent in process.parents())
    return next((services[pid] for pid in (process.pid, *parents) if pid in services), "other")


def sizes(directory: Path) -> Iterator[int]:
    """Yields the disk usage of each file in bytes. Skips files that are deleted during the call."""
    for parent, _, files in os.walk(directory):
        for file in files:
            with suppress(FileNotFoundError):
                yield Path(parent, file).lstat().st_blocks * 512


def table_sizes(platform: Platform) -> dict[str, int]:
    """Returns the number of items of each DynamoDB table."""
    client = platform.aws("dynamodb")
    return {
        name: client.scan(TableName=name, Select="COUNT")["Count"]
        for page in client.get_paginator("list_tables").paginate()
        for name in page["TableNames"]
    }


def growth(values: list[float]) -> float:
    """Returns the relative growth between the medians of the last two quarters of the values."""
    quarter = len(values) // 4
    third, fourth = values[2 * quarter : 3 * quarter], values[3 * quarter :]
    return statistics.median(fourth) / statistics.median(third) - 1


def process_uses(measured: list[Sample]) -> dict[str, dict[str, float]]:
    """Returns the medians of the last two quarters for each key in Sample.uses."""
    quarter = len(measured) // 4
    quarters = {"third": measured[2 * quarter : 3 * quarter], "fourth": measured[3 * quarter :]}
    result = {}
    for name in sorted({name for sample in measured for name in sample.uses}):
        result[name] = {
            f"{each}, {label} quarter": statistics.median(values)
            for each in ("processes", *PROCESS_GROWTH)
            for label, samples in quarters.items()
            if (values := [getattr(s.uses[name], each) for s in samples if name in s.uses])
        }
    return result


def growing_processes(uses: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Returns a sentence for each service and function whose processes grow too much."""
    found = []
    for name, medians in uses.items():
        for each, allowed in PROCESS_GROWTH.items():
            third = medians.get(f"{each}, third quarter")
            fourth = medians.get(f"{each}, fourth quarter")
            if third is None or fourth is None:
                continue  # at least one of the quarters has no process with this name
            if fourth - third > max(allowed, GROWTH_LIMIT * third):
                found.append(f"{each} of {name} grew from {third} to {fourth}")
    return found


def disk_growth(measured: list[Sample]) -> float:
    """Returns the bytes on disk that each request adds, by linear regression over the second half
    of the samples.

    Two samples would not suffice, because the size also changes whenever the embedded AWS saves its
    data.
    """
    half = measured[len(measured) // 2 :]
    slope = statistics.linear_regression([s.requests for s in half], [s.disk for s in half]).slope
    return slope * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="Directory of a running local platform, such as .local.",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=40,
        help="Number of requests per second. Default: 40 per second.",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=30,
        help="Duration of the measurement in minutes. Default: 30 minutes.",
    )
    parser.add_argument("--json", action="store_true", help="Print JSON instead of a table.")
    arguments = parser.parse_args()
    root, rate = Root(arguments.root.resolve()), Rate(arguments.rate)
    platform = Platform.load(root.path, is_own=True)
    platform.reset_rate_limits()
    clients = []
    for _ in range(CLIENTS):
        clients.append(Client(platform, rate))
        platform.reset_rate_limits()
    before = table_sizes(platform)
    begun = time.monotonic()
    deadline = begun + 60 * arguments.minutes
    threads = [threading.Thread(target=client.run, args=(deadline,)) for client in clients]
    for thread in threads:
        thread.start()
    measured: list[Sample] = []
    while time.monotonic() < deadline:
        time.sleep(INTERVAL)
        measured.append(measure(root, rate, begun))
        print(measured[-1], file=sys.stderr, flush=True)
    for thread in threads:
        thread.join()
    after = table_sizes(platform)
    largest = max(sample.memory for sample in measured)
    grown = {
        name: round(growth([getattr(sample, name) for sample in measured]), 3)
        for name in ("memory", "aws_memory", "descriptors", "disk")
    }
    result = {
        "requests": rate.requests,
        "requests a second": round(rate.requests / (time.monotonic() - begun), 1),
        "failures": rate.failures,
        "memory, largest (MB)": largest,
        "growth": grown,
        "disk growth a request (bytes)": round(disk_growth(measured)),
        "processes": (uses := process_uses(measured)),
        "growing processes": (growing := growing_processes(uses)),
        "new items": {name: after[name] - before.get(name, 0) for name in after},
    }
    if arguments.json:
        print(json.dumps({**result, "samples": [asdict(sample) for sample in measured]}))
    else:
        for name, value in result.items():
            print(f"{name}: {value}")
    is_growing = bool(growing) or max(grown.values()) > GROWTH_LIMIT
    sys.exit(largest > MEMORY_LIMIT or is_growing)


if __name__ == "__main__":
    main()
