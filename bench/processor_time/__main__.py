"""Measures the CPU time of each request, frame and event, and writes ops/capacity/processor.yml.

    python -m bench.processor_time [--root .local] [--repetitions 30]

Sends one request after the other to a running platform, to which nobody else sends requests. The
CPU time of a request is the user and system time that the function's processes use from the request
until they are idle again. It includes the time of the AWS client library. The file contains the
median of all repetitions. Requests to language models are left out.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import yaml

from bench import create_parser
from bench.load.requests import Requests
from bench.load.world import build_world
from bench.processor_time.measurement import Workers, measure
from ops.capacity.model import load_model
from ops.capacity.processor import FILE
from ops.console import Progress
from ops.root import DEFAULT_ROOT
from tests.e2e.support.platform import Platform

PAGE, ROOMS = 20, 8
"""Items of each list and rooms of each user, as in calls.yml."""
_HEADER = """\
# CPU time of each request in milliseconds, and memory of each function in MB. Written by
# `python -m bench.processor_time`.
#
# A CPU time is the median of the user and system time of the function's processes on the embedded
# AWS, for texts of 300 bytes and pages of 20 items. It includes the AWS clients, and the post of a
# frame to one listener. Memory is the largest resident size of one process.
"""


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        default=DEFAULT_ROOT,
        help="directory of a running platform (default: .local)",
    )
    parser.add_argument(
        "--repetitions", type=int, default=30, help="measured requests of each kind (default: 30)"
    )
    parser.add_argument(
        "--file", type=Path, default=FILE, help=f"file to write (default: {FILE.name})"
    )
    arguments = parser.parse_args()
    model = load_model()
    platform = Platform.load(arguments.root.resolve(), is_own=False)
    joins = round(model.population.rooms_joined_per_session.value)
    with (
        Progress() as progress,
        build_world(
            platform,
            model,
            Random(1),  # noqa: S311
            people=2,
            page=PAGE,
            rooms=ROOMS,
            show=progress.show,
        ) as world,
    ):
        requests = Requests(world, joins)
        show = progress.show
        measured = asyncio.run(measure(world, requests, model, arguments.repetitions, show))
        for path in ("/v1/ai/conversations", "/health"):
            world.api.get(path, token=world.user.person.access_token).expect(200)
        memory = Workers(platform).memory_mb()
    write(measured, memory, arguments.repetitions, arguments.file)
    print(f"wrote {arguments.file}")


def write(
    milliseconds: Mapping[str, list[float]],
    memory: Mapping[str, float],
    repetitions: int,
    file: Path = FILE,
) -> None:
    """Writes the medians and the memory with the conditions of the measurement."""
    document: dict[str, Any] = {
        "measured": {
            "date": datetime.now(UTC).date(),
            "repetitions": repetitions,
            "processor": _processor(),
            "load_average": round(os.getloadavg()[0], 1),
        },
        "requests": {
            name: round(statistics.median(values), 2)
            for name, values in sorted(milliseconds.items())
            if values
        },
        "memory_mb": {name: round(size) for name, size in sorted(memory.items())},
    }
    text = yaml.safe_dump(document, sort_keys=False, width=100)
    file.write_text(_HEADER + text, encoding="utf-8")


def _processor() -> str:
    """Returns the name of the machine's processor and the number of its cores."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return f"{value.strip()}, {os.cpu_count()} cores"
    return f"unknown, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
