"""Estimates how long commands take, from the duration of their last run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ops.console import expecting
from ops.root import PROJECT, read_json, write_json

FILE = PROJECT / ".build" / "durations.json"
"""File with the duration in seconds of the last completed run, by command and arguments."""
MINIMUM_STORED_DURATION = 1.0
"""Seconds. The durations of shorter runs are not stored.

In a shorter run, the command had nothing to do, or a test called it.
"""
IRRELEVANT = {"root", "as_json", "yes", "form", "output", "out_plan", "approved_by"}
"""Arguments that hardly change how long a command takes."""


@contextmanager
def estimated(
    name: str, arguments: Mapping[str, Any], seconds: float, file: Path = FILE
) -> Iterator[None]:
    """Shows progress with an estimate while a command runs, and stores the command's duration.

    The estimate is the duration of the last run with the same arguments. The time in which the
    command waited for the operator's input is not included.

    Args:
        name: The command's name, for example `up`.
        seconds: The estimate for the first run.
        file: Where the durations are stored.
    """
    relevant = sorted((key, value) for key, value in arguments.items() if key not in IRRELEVANT)
    # A command takes longer or shorter if a file is passed. The path of the file has no effect.
    shown = ((key, True if isinstance(value, Path) else value) for key, value in relevant)
    run = " ".join([name, *(f"{key}={value}" for key, value in shown if value)])
    known = _read(file).get(run, seconds)
    with expecting(f"ops {name}", known) as elapsed:
        yield
        took = elapsed()
    if took < MINIMUM_STORED_DURATION:
        return
    # If the checkout is read-only, durations cannot be stored, and estimates do not improve.
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        write_json(file, {**_read(file), run: round(took, 1)})


def _read(file: Path) -> dict[str, float]:
    try:
        durations = read_json(file)
    except OSError:
        return {}
    if not isinstance(durations, dict):
        return {}
    return {run: took for run, took in durations.items() if isinstance(took, int | float)}
