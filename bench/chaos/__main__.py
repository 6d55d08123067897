"""Breaks a temporary platform in many ways, and checks that it keeps every acknowledged write.

Clients sign up, write posts, likes, comments and listings over HTTP, and messages over a WebSocket.
After each fault, every acknowledged write must be stored once, sequence numbers must have no gaps,
counters must equal the number of stored items, and no log may contain a secret. Takes 40 minutes on
an idle machine. Must run as root, because it mounts a small disk and changes the platform's clock.

Exit status 1 means that a check failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench.chaos.faults import DISKS, EVERY_FAULT, KILLS
from bench.chaos.machine import small_disk
from bench.chaos.rounds import Result, run, run_up
from ops.local.platform import stop_platform
from ops.root import Root

DISK = 5 * 1024**3
"""Bytes of the small disk. The platform needs 2 GiB of free space to start."""


def table(results: list[Result]) -> list[str]:
    """Returns the lines of a Markdown table."""
    lines = [
        "| fault | acknowledged | lost | lost in the last second | duplicates"
        " | writes succeed after | `ops up` |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        found = result.findings
        lines.append(
            f"| {result.fault} | {found.acknowledged} | {len(found.lost)} |"
            f" {len(found.lost_in_last_second)} | {len(found.duplicates)} |"
            f" {result.recovery:.1f} s | {f'{result.repair:.0f} s' if result.repair else ''} |"
        )
    return lines


@contextmanager
def temporary_platform() -> Iterator[Root]:
    """Starts a platform on a small disk, and deletes both at the end."""
    with tempfile.TemporaryDirectory(prefix="multitask-chaos-") as directory:
        Path(directory).chmod(0o755)
        with small_disk(Path(directory), DISK):
            root = Root(Path(directory) / "platform")
            root.prepare()
            try:
                print("Starting a platform", file=sys.stderr, flush=True)
                run_up(root)
                yield root
            finally:
                stop_platform(root, purge=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="Run only the first six faults, which kill processes while no `ops up` runs.",
    )
    parser.add_argument("--only", help="Run only the faults whose names contain this text.")
    parser.add_argument(
        "--root",
        type=Path,
        help="Break the running platform in this directory instead of a temporary one. Skips the"
        " faults that fill the disk.",
    )
    parser.add_argument("--json", action="store_true", help="Print JSON instead of a table.")
    arguments = parser.parse_args()
    # CI sends SIGTERM at its timeout. The signal must then stop the platform, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = KILLS if arguments.short else EVERY_FAULT
    faults = [fault for fault in chosen if (arguments.only or "") in fault.name]
    if arguments.root:
        faults = [fault for fault in faults if fault not in DISKS]
        results = run(Root(arguments.root.resolve()), faults)
    else:
        with temporary_platform() as root:
            results = run(root, faults)
    problems = {result.fault: found for result in results if (found := result.problems())}
    if arguments.json:
        output = [{**asdict(result), "problems": result.problems()} for result in results]
        print(json.dumps(output, indent=2))
    else:
        print("\n".join(table(results)))
        for fault, found in problems.items():
            print(f"\n{fault}:", *found, sep="\n- ")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
