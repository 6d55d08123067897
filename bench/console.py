"""Measures the web console's start time, its memory, and the load that it adds to the platform.

python -m bench.console [ROOT]

Needs a running platform on this machine that receives no other requests. The embedded AWS executes
one call at a time, so users' requests wait while it executes calls of the console. The load is the
processor time that the platform uses per second, which other programs on the machine do not affect.
During each measurement, the benchmark sends requests to the platform at a fixed rate. A pair of
measurements consists of one with the console's map of the platform closed and one with it open.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import urllib3

from ops.embedded import EmbeddedCloud
from ops.embedded.ports import choose_port
from ops.embedded.processes import Processes, find_processes
from ops.local.console_process import (
    CONSOLE,
    SMALL_HEAP,
    ConsoleAddress,
    console_command,
    local_token,
)
from ops.root import DEFAULT_ROOT, PROJECT, Root, read_json

STARTS = 5
PAIRS = 4
SECONDS = 12.0
"""Seconds of requests for each measurement of a pair. The open map is read twice in this time."""
RATE = 10
"""Requests per second. Each request adds lines to the logs that the console reads."""
REQUESTS = int(2 * PAIRS * SECONDS * RATE)
"""Number of requests of all measurements."""
POLL = 6.0
"""Seconds between two reads of the map, as in ops/web_console/static/views/map.js."""
PATHS = (
    *("map.svg", "map", "functions", "functions/chat", "functions/chat/examples"),
    *("tables", "tables/post-posts", "buckets", "buckets/avatars", "sql", "cache", "connections"),
    *("queues", "queues/relay-retries-dlq", "events", "mails", "releases", "reports/cost"),
)
"""The URL paths that a browser requests when a user opens all views."""


@contextmanager
def console(root: Root) -> Iterator[tuple[psutil.Process, ConsoleAddress, float]]:
    """Starts a web console in the same way as `ops up`.

    Yields its process, its address and the seconds until its first page.
    """
    address = ConsoleAddress(choose_port(), local_token(root))
    begun = time.monotonic()
    with subprocess.Popen(
        console_command(address.port, root),
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", **SMALL_HEAP},
    ) as child:
        try:
            while True:
                try:
                    urllib3.request("GET", str(address), retries=False, timeout=5)
                    break
                except urllib3.exceptions.HTTPError:
                    time.sleep(0.01)
            yield psutil.Process(child.pid), address, time.monotonic() - begun
        finally:
            child.terminate()


def get(address: ConsoleAddress, path: str) -> bytes:
    cookie = {"Cookie": f"console-{address.port}={address.token}"}
    url = f"http://127.0.0.1:{address.port}/api/{path}"
    return urllib3.request("GET", url, headers=cookie, timeout=60).data


@contextmanager
def open_map(address: ConsoleAddress) -> Iterator[None]:
    """Sends the requests that a browser sends while it shows the map, until the block ends.

    Also opens the stream from which the console's list of requests reads the requests of the last
    hour and later ones.
    """
    closed = threading.Event()
    cookie = {"Cookie": f"console-{address.port}={address.token}"}
    url = f"http://127.0.0.1:{address.port}/api/live/requests"

    def poll() -> None:
        while not closed.is_set():
            get(address, "map")
            closed.wait(POLL)

    def follow() -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            response = urllib3.request("GET", url, headers=cookie, preload_content=False)
            for _ in response.stream(1024):
                if closed.is_set():
                    break
            response.close()

    threads = [threading.Thread(target=target, daemon=True) for target in (poll, follow)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        closed.set()
        for thread in threads:
            thread.join()


def processor_time(root: Root) -> float:
    """Returns the seconds that the platform's processes have used, without the console."""
    console = Processes(root).get(CONSOLE)
    total = 0.0
    for process in find_processes(root):
        with contextlib.suppress(psutil.NoSuchProcess):
            if not console or process.pid != console.pid:
                # The first four times are those of the process and of its ended children.
                total += sum(process.cpu_times()[:4])
    return total


def measure_load(root: Root) -> float:
    """Sends requests at RATE. Returns the processor time of the platform per second."""
    platform = read_json(root.platform_file)
    assert platform
    with urllib3.PoolManager(ca_certs=platform["authority"]) as pool:
        before, begun = processor_time(root), time.monotonic()
        for number in range(int(SECONDS * RATE)):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            assert pool.request("GET", f"{platform['apiUrl']}/health").status == 200
        return (processor_time(root) - before) / (time.monotonic() - begun)


def measure_pair(
    root: Root, address: ConsoleAddress, *, is_open_first: bool
) -> tuple[float, float]:
    """Returns the load with the map closed and with the map open."""
    loads = {}
    for is_open in (is_open_first, not is_open_first):
        with open_map(address) if is_open else contextlib.nullcontext():
            loads[is_open] = measure_load(root)
    return loads[False], loads[True]


def main(root: Root) -> None:
    assert EmbeddedCloud(root).running(), "the platform is not running: start it with `make up`"
    starts = []
    for _ in range(STARTS):
        with console(root) as (_, _, seconds):
            starts.append(seconds)
    print(f"start                {min(starts):.2f} s (fastest of {STARTS})")
    with console(root) as (process, address, _):
        before = process.memory_info().rss
        for path in PATHS:
            get(address, path)
        memory = process.memory_full_info()
        print(f"memory after start   {before / 1e6:.0f} MB")
        print(f"memory, all views    {memory.rss / 1e6:.0f} MB, {memory.uss / 1e6:.0f} not shared")
        pairs = [
            measure_pair(root, address, is_open_first=number % 2 == 1) for number in range(PAIRS)
        ]
        rss = process.memory_info().rss
        print(f"memory at the end    {rss / 1e6:.0f} MB, after {REQUESTS} requests")
    added = sorted(opened - closed for closed, opened in pairs)
    print(f"load, map closed     {statistics.median(closed for closed, _ in pairs):.1%}")
    print(
        f"added by open map    {statistics.median(added):.1%}, {PAIRS} pairs:"
        f" {', '.join(f'{value:.1%}' for value in added)}"
    )


if __name__ == "__main__":
    main(Root(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROOT))
