"""Measures the CPU time that the journal and the saves add to a request to the platform.

The benchmark sends the same block of requests again and again to a running platform. Between two
blocks, it turns the durability of the embedded AWS (journal and saves) off or on. Each pair of
blocks yields one ratio of CPU times. The CPU time includes the functions and the child processes
that save.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.chaos.clients import Crew
from ops.embedded import EmbeddedCloud
from ops.embedded.processes import Processes
from ops.embedded.services import SERVER, Aws
from ops.root import Root
from tests.e2e.support.platform import Platform

SWITCHED = f"""
import runpy, signal
server = runpy.run_path({str(SERVER)!r})
server["load"]("emulator")
from emulator.durability import journal, saving
append, save = journal.Journal._append, saving.Saver._save
is_on = True

def switch(*_):
    global is_on
    is_on = not is_on

signal.signal(signal.SIGUSR2, switch)
journal.Journal._append = lambda *arguments: append(*arguments) if is_on else None
saving.Saver._save = lambda *arguments, **named: save(*arguments, **named) if is_on else None
server["main"]()
"""
"""A start script for the embedded AWS. SIGUSR2 turns its durability off and on."""
ROUNDS = 15
"""Number of repetitions of the four requests in one block."""
SETTLING = 2.0
"""Seconds to wait after a block, because events, statistics and saves follow the responses."""


class Target:
    """A platform whose embedded AWS can turn its durability (journal and saves) off and on."""

    def __init__(self, root: Root, aws: psutil.Process) -> None:
        self._aws = aws
        self._crew = Crew(Platform.load(root.path, is_own=True))

    def run(self) -> float:
        """Runs a block of requests. Returns the mean CPU seconds per request."""
        begun = self._cpu_seconds()
        crew = self._crew
        for _ in range(ROUNDS):
            key = uuid.uuid4().hex
            post = crew.send(crew.author, "POST", "/v1/posts", {"content": key}, key).expect(201)
            path = f"/v1/posts/{post['postId']}"
            crew.send(crew.reader, "PUT", f"{path}/like").expect(204)
            crew.send(crew.reader, "POST", f"{path}/comments", {"content": key}, key).expect(201)
            crew.send(crew.reader, "GET", path).expect(200)
        time.sleep(SETTLING)
        return (self._cpu_seconds() - begun) / ROUNDS / 4

    def switch(self) -> None:
        """Turns the durability off if it is on, or on if it is off."""
        self._aws.send_signal(signal.SIGUSR2)

    def _cpu_seconds(self) -> float:
        times = self._aws.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in self._aws.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                used = child.cpu_times()
                total += used.user + used.system
        return float(total)


@contextmanager
def switchable(root: Root) -> Iterator[Target]:
    """Restarts a platform's embedded AWS with the start script SWITCHED.

    Restarts it normally at the end.
    """
    cloud, processes = EmbeddedCloud(root), Processes(root)
    running = cloud.running()["aws"]
    processes.stop(running)
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "server.py"
        script.write_text(SWITCHED)
        aws = Aws(root, processes, script)
        process = aws.start(running.port)
        try:
            while not aws.is_ready(process.port):
                time.sleep(0.1)
            yield Target(root, psutil.Process(process.pid))
        finally:
            processes.stop(process)
            cloud.start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        required=True,
        help="Directory of a running local platform, such as .local.",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=15,
        help="Number of block pairs to run (a pair is one block of requests with and one without"
        " durability). Default: 15 pairs.",
    )
    arguments = parser.parse_args()
    ratios, seconds = [], []
    is_durable = True
    with switchable(Root(arguments.root.resolve())) as target:
        # The first block is a warm-up, in which the processes of the functions start.
        target.run()
        for _ in range(arguments.pairs):
            # The order of the blocks alternates, so that a steady drift does not affect the median.
            measured = {is_durable: target.run()}
            target.switch()
            is_durable = not is_durable
            measured[is_durable] = target.run()
            ratios.append(measured[True] / measured[False])
            seconds.append(measured[False])
    quartiles = statistics.quantiles(ratios, n=4)
    print(
        f"CPU time with / without durability: median {statistics.median(ratios):.3f}, quartiles"
        f" {quartiles[0]:.3f} to {quartiles[2]:.3f}; a request without durability takes"
        f" {statistics.median(seconds) * 1e3:.0f} ms of CPU time"
    )


if __name__ == "__main__":
    main()
