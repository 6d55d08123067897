"""Measures the web console: its start time, its memory, and the time it adds to other requests.

python -m bench.console [ROOT]

Needs the platform on this machine. Sends requests in alternating rounds, without and with a reader
of the console's live data, so that other load on the machine affects both alike.
"""

from __future__ import annotations

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

from ops.cloud import EMBEDDED, connect
from ops.embedded.ports import choose_port
from ops.local.console_process import ConsoleAddress, local_token
from ops.root import DEFAULT_ROOT, PROJECT, Root
from ops.terraform.state import outputs

ROUNDS = 20
REQUESTS = 25
"""Requests per round."""
PATHS = ("map.svg", "map", "functions", "functions/chat", "tables", "queues", "releases", "mails")
"""The addresses that a visitor of all views reads."""


@contextmanager
def console(root: Root) -> Iterator[tuple[psutil.Process, ConsoleAddress, float]]:
    """Starts a console. Yields its process, its address and the seconds until its first page."""
    address = ConsoleAddress(choose_port(), local_token(root))
    options = ["--port", str(address.port), "--root", str(root.path)]
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "console", EMBEDDED, *options],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "MALLOC_ARENA_MAX": "2"},
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
    """Reads the same data as an open page with the map, while the `with` block runs."""
    closed = threading.Event()

    def poll() -> None:
        while not closed.wait(5):
            get(address, "map")

    def follow() -> None:
        cookie = {"Cookie": f"console-{address.port}={address.token}"}
        url = f"http://127.0.0.1:{address.port}/api/live/requests"
        response = urllib3.request("GET", url, headers=cookie, preload_content=False)
        for _ in response.stream(1024):
            if closed.is_set():
                break
        response.close()

    threads = [threading.Thread(target=target, daemon=True) for target in (poll, follow)]
    for thread in threads:
        thread.start()
    # Waits for the first poll, which reads the log lines of the last hour.
    time.sleep(4)
    yield
    closed.set()


def measure_round(pool: urllib3.PoolManager, api: str) -> list[float]:
    durations = []
    for number in range(REQUESTS):
        begun = time.monotonic()
        pool.request("GET", f"{api}/v1/posts/{number}", retries=False)
        durations.append(time.monotonic() - begun)
    return durations


def main(root: Root) -> None:
    cloud = connect(EMBEDDED, root)
    api = outputs(cloud)["api_url"]
    with (
        console(root) as (process, address, seconds),
        urllib3.PoolManager(ca_certs=cloud.authority) as pool,
    ):
        print(f"start                 {seconds:.2f} s")
        for path in PATHS:
            get(address, path)
        memory = process.memory_full_info()
        print(f"memory, all views     {memory.rss / 1e6:.0f} MB, own {memory.uss / 1e6:.0f} MB")
        measure_round(pool, api)
        ratios = []
        for _ in range(ROUNDS):
            without = measure_round(pool, api)
            with open_map(address):
                watched = measure_round(pool, api)
            ratios.append(statistics.median(watched) / statistics.median(without))
        print(
            f"requests, map open    {statistics.median(ratios):.3f} of the time without"
            f" (quartiles {statistics.quantiles(ratios, n=4)[0]:.3f}"
            f" to {statistics.quantiles(ratios, n=4)[2]:.3f}, {ROUNDS} pairs)"
        )


if __name__ == "__main__":
    main(Root(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROOT))
