"""Prints progress to standard error and results to standard output."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text


class _ResultConsole(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        _line.stop()
        super().print(*objects, **options)


out = _ResultConsole(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

PLAIN_INTERVAL = 15.0
"""Seconds between progress lines if the output is not a terminal (a file, a pipe, CI)."""
REFRESHES = 2
"""How many times per second the progress line is drawn, to update the estimated time."""


def accept_any_encoding() -> None:
    """Configures standard output and error to replace characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def format_duration(seconds: float) -> str:
    """Returns a duration as text: `90 s` if it is less than two minutes, otherwise `3 min`."""
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

    print_text(json.dumps(value, indent=2, sort_keys=True, default=convert) + "\n")


def print_text(text: str) -> None:
    """Prints a command's result to standard output without any change."""
    _line.stop()
    sys.stdout.write(text)


def print_result(value: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Prints a command's result to standard output, as JSON or as lines."""
    if as_json:
        print_json(value)
    else:
        for line in lines:
            print_line(line)


class Progress:
    """The current step of a command, with the estimated time until the command ends.

    Updates one line on a terminal. Elsewhere, prints a new line every PLAIN_INTERVAL seconds. Steps
    can be nested, and can run in several threads. The line shows the step that began last.
    """

    def __init__(self, text: str = "") -> None:
        self._text = text
        self._end: float | None = None

    def __enter__(self) -> Progress:
        _line.begin(self)
        return self

    def __exit__(self, *_: object) -> None:
        _line.end(self)

    def show(self, text: str, seconds_left: float | None = None) -> None:
        """Displays the current progress of the step.

        Args:
            seconds_left: Seconds until the step ends. None if the step cannot estimate them.
        """
        self._text = text
        self._end = None if seconds_left is None else time.monotonic() + seconds_left
        _line.update(self)

    def render(self, width: int, command_end: float | None) -> str:
        """Returns the line as text of at most `width` characters.

        Shortens the text of the step if necessary, but not the estimate.
        """
        ends = [end for end in (self._end, command_end) if end is not None]
        remaining = max(ends) - time.monotonic() if ends else 0.0
        estimate = f", about {format_duration(remaining)} left" if remaining >= 1 else ""
        room = max(width - len(estimate), 1)
        text = self._text if len(self._text) <= room else f"{self._text[: room - 1]}…"
        return f"{text}{estimate}"[: max(width, 1)]


@contextmanager
def expecting(text: str, seconds: float) -> Iterator[Callable[[], float]]:
    """Shows progress while a command runs, with the estimated time until it ends.

    Args:
        text: The text of the progress line at times when no step of the command is in progress.
        seconds: The expected duration of the command.

    Yields:
        A function that returns the seconds since the start. The time that the command spends in
        `without_progress` is not counted.
    """
    end = time.monotonic() + seconds
    _line.command_end = end

    def elapsed() -> float:
        return time.monotonic() - ((_line.command_end or end) - seconds)

    try:
        with Progress(text):
            yield elapsed
    finally:
        _line.command_end = None


@contextmanager
def without_progress() -> Iterator[None]:
    """Removes the progress line while the operator enters text or another program writes output."""
    begun = time.monotonic()
    _line.stop()
    yield
    if _line.command_end is not None:
        _line.command_end += time.monotonic() - begun
    _line.start()


class _Line:
    """The progress line, which all steps share."""

    command_end: float | None = None
    """Estimated end of the command, as monotonic time in seconds. None if unknown."""

    def __init__(self) -> None:
        self._steps: list[Progress] = []
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._printed = 0.0
        self._lock = threading.RLock()

    def begin(self, step: Progress) -> None:
        with self._lock:
            if not self._steps:
                self._printed = time.monotonic()
            self._steps.append(step)
            self.start()

    def end(self, step: Progress) -> None:
        with self._lock:
            self._steps.remove(step)
            is_over = not self._steps
        if is_over:
            self.stop()

    def update(self, step: Progress) -> None:
        with self._lock:
            self.start()
            if not err.is_terminal and time.monotonic() - self._printed >= PLAIN_INTERVAL:
                self._printed = time.monotonic()
                report(step.render(sys.maxsize, self.command_end))

    def start(self) -> None:
        """Shows the line on a terminal, if a step is in progress."""
        with self._lock:
            if self._live is None and self._steps and err.is_terminal:
                self._live = Live(
                    console=err,
                    get_renderable=self._render,
                    refresh_per_second=REFRESHES,
                    transient=True,
                    redirect_stdout=False,
                )
                self._live.start(refresh=True)

    def stop(self) -> None:
        """Hides the line. It appears again when a step begins or shows its progress."""
        with self._lock:
            live, self._live = self._live, None
        if live:
            live.stop()

    def _render(self) -> Spinner:
        # The rendering thread calls this method. It must not take the lock, because the thread that
        # holds the lock may be waiting for the rendering thread.
        step = next(reversed(self._steps), None)
        # The line must not wrap, because a terminal cannot erase a wrapped line completely. The
        # spinner before the text also needs columns.
        width = err.width - len("⠋ ")
        self._spinner.update(text=Text(step.render(width, self.command_end) if step else ""))
        return self._spinner


_line = _Line()
