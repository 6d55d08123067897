"""Prints progress to standard error and results to standard output."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.status import Status

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

PLAIN_INTERVAL = 15.0
"""Seconds between progress lines if the output is not a terminal (a file, a pipe, CI)."""


def accept_any_encoding() -> None:
    """Makes standard output and error replace characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def format_duration(seconds: float) -> str:
    """Returns a duration in seconds or, from two minutes, in minutes: `90 s`, `3 min`."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def suggest(step: str) -> None:
    """Prints the suggested next step to standard error, if standard error is a terminal."""
    if err.is_terminal:
        report(f"Next: {step}")


def report(message: str) -> None:
    """Prints a progress message to standard error."""
    err.print(message, markup=False)


def print_line(line: str) -> None:
    """Prints a line of a command's result to standard output."""
    out.print(line, markup=False)


def print_json(value: Any) -> None:
    """Prints a command's result as JSON to standard output. Dataclasses become objects."""

    def convert(item: Any) -> Any:
        is_dataclass = dataclasses.is_dataclass(item) and not isinstance(item, type)
        return dataclasses.asdict(item) if is_dataclass else str(item)

    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, default=convert) + "\n")


def print_result(value: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Prints a command's result to standard output, as JSON or as lines."""
    if as_json:
        print_json(value)
    else:
        for line in lines:
            print_line(line)


class Progress:
    """Progress line of a long step.

    Updates one line on a terminal. Elsewhere, prints a new line every PLAIN_INTERVAL seconds.
    """

    def __init__(self) -> None:
        self._status: Status | None = err.status("") if err.is_terminal else None
        self._printed = time.monotonic()

    def __enter__(self) -> Progress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def show(self, line: str) -> None:
        """Displays the current progress of the step."""
        if self._status:
            # The line must not wrap: the terminal could not erase all of it. A spinner precedes it.
            width = max(err.width - len("⠋ "), 1)
            shown = line if len(line) <= width else f"{line[: width - 1]}…"
            self._status.update(shown.replace("[", r"\["))
        elif time.monotonic() - self._printed >= PLAIN_INTERVAL:
            self._printed = time.monotonic()
            report(line)
