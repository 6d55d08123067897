"""Measures the web console's start time, its memory, and the load that it adds to the embedded AWS.

python -m bench.console [ROOT]

Needs the platform on this machine, to which nobody sends requests. The embedded AWS is one process
and executes one call at a time. Other requests therefore wait while it executes the console's
reads, for as long as these take processor time.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import urllib3

from ops.cloud import EMBEDDED
from ops.embedded import EmbeddedCloud
from ops.embedded.ports import choose_port
from ops.local.console_process import SMALL_HEAP, ConsoleAddress, local_token
from ops.root import DEFAULT_ROOT, PROJECT, Root

STARTS = 5
SECONDS = 20.0
"""Seconds for which the embedded AWS's processor time is measured."""
POLL = 6.0
"""Seconds between two reads of the map, as in static/views/map.js."""
PATHS = (
    *("map.svg", "map", "functions", "functions/chat", "functions/chat/examples"),
    *("tables", "tables/post-posts", "buckets", "buckets/avatars", "sql", "cache", "connections"),
    *("queues", "queues/relay-retries-dlq", "events", "mails", "releases", "reports/cost"),
)
"""The URL paths that a browser requests if a user opens all views."""


@contextmanager
def console(root: Root) -> Iterator[tuple[psutil.Process, ConsoleAddress, float]]:
    """Starts a web console. Yields its process, its address and the seconds until its first
    page.
    """
    address = ConsoleAddress(choose_port(), local_token(root))
    options = ["--port", str(address.port), "--root", str(root.path)]
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "console", EMBEDDED, *options],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", **SMALL_HEAP},
    ) as child:
        while True:
            try:
                urllib3.request("GET", str(address), retries=False, timeout=5)
                break
            except urllib3.exceptions.HTTPError:
                time.sleep(0.01)
        yield psutil.Process(child.pid), address, time.monotonic() - begun
        child.terminate()


def get(address: ConsoleAddress, path: str) -> bytes:
    cookie = {"Cookie": f"console-{address.port}={address.token}"}
    url = f"http://127.0.0.1:{address.port}/api/{path}"
    return urllib3.request("GET", url, headers=cookie, timeout=60).data


@contextmanager
def open_map(address: ConsoleAddress) -> Iterator[None]:
    """Sends the requests of an open page with the map while the `with` block runs."""
    closed = threading.Event()
    cookie = {"Cookie": f"console-{address.port}={address.token}"}
    url = f"http://127.0.0.1:{address.port}/api/live/requests"

    def poll() -> None:
        while not closed.wait(POLL):
            get(address, "map")

    def follow() -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            response = urllib3.request("GET", url, headers=cookie, preload_content=False)
            for _ in response.stream(1024):
                if closed.is_set():
                    break

    threads = [threading.Thread(target=target, daemon=True) for target in (poll, follow)]
    for thread in threads:
        thread.start()
    # The first read of the logs returns the last hour, so the measurement begins after it.
    time.sleep(2 * POLL)
    yield
    closed.set()


def measure_load(aws: psutil.Process) -> float:
    """Returns the processor time of the embedded AWS per second, as a fraction of one processor."""
    before = aws.cpu_times()
    time.sleep(SECONDS)
    after = aws.cpu_times()
    return (after.user + after.system - before.user - before.system) / SECONDS


def main(root: Root) -> None:
    aws = EmbeddedCloud(root).running()["aws"].find()
    assert aws, "the platform is not running: start it with `make up`"
    starts = []
    for _ in range(STARTS):
        with console(root) as (_, _, seconds):
            starts.append(seconds)
    with console(root) as (process, address, _):
        for path in PATHS:
            get(address, path)
        memory = process.memory_full_info()
        idle = measure_load(aws)
        with open_map(address):
            watched = measure_load(aws)
    print(f"start                {min(starts):.2f} s (fastest of {STARTS})")
    print(f"memory, all views    {memory.rss / 1e6:.0f} MB, not shared {memory.uss / 1e6:.0f} MB")
    print(f"embedded AWS busy    {idle:.1%} idle, {watched:.1%} with the map open")


if __name__ == "__main__":
    main(Root(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROOT))
