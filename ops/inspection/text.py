"""Formats a waterfall as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.text import Text

from ops.inspection.lines import LogLine, choose_colours
from ops.inspection.waterfall import Span, Waterfall
from ops.upkeep.logs import GATEWAY

WIDTH = 24
"""Width of the bar that shows a span's time, in columns of the terminal."""
HIDDEN = {
    *("service", "stage", "location", "xray_trace_id", "traceId", "correlation_id"),
    *("exception", "exception_name", "stack_trace"),
}
"""Fields of log lines that repeat what the waterfall shows."""


def format_waterfall(waterfall: Waterfall) -> Iterator[Text]:
    """Yields the lines of a waterfall: each step with its time, status, error and log lines."""
    began = datetime.fromtimestamp(waterfall.start / 1000, UTC)
    yield Text(
        f"{waterfall.correlation_id} in {waterfall.environment}: {len(waterfall.spans)} steps in"
        f" {waterfall.duration:.0f} ms, from {began:%Y-%m-%d %H:%M:%S.%f}"[:-3]
        + "Z"
    )
    colours = choose_colours(span.service for span in waterfall.spans)
    for span in waterfall.spans:
        colour = colours[span.service]
        yield Text.assemble(
            f"{span.start - waterfall.start:+9.0f} ms {span.duration:7.0f} ms ",
            (_bar(span, waterfall), colour),
            " ",
            (f"{span.service:<11}", colour),
            f"{span.kind:<11}{span.name}  ",
            (span.status, "red" if span.error else ""),
        )
        if span.error:
            yield Text.assemble(" " * 24, (f"error: {span.error}", "red"))
        for line in span.lines:
            if line.service != GATEWAY:
                elapsed = f"{line.time - waterfall.start:+9.0f} ms"
                yield Text(f"{elapsed:<24}{describe_line(line)}", "dim")
    for name, address in waterfall.links.items():
        yield Text(f"{name}: {address}")


def _bar(span: Span, waterfall: Waterfall) -> str:
    """Returns a bar that shows when the span began and ended within the waterfall."""
    scale = WIDTH / max(waterfall.duration, 1)
    start = min(WIDTH - 1, int((span.start - waterfall.start) * scale))
    length = max(1, min(WIDTH - start, round(span.duration * scale)))
    return f"{' ' * start}{'█' * length}".ljust(WIDTH)


def describe_line(line: LogLine) -> str:
    """Returns a log line with its level, message and fields."""
    fields = " ".join(
        f"{name}={value}"
        for name, value in line.fields.items()
        if name not in HIDDEN and value not in (None, "", "-")
    )
    return " ".join(filter(None, (f"{line.level:<8}" if line.level else "", line.message, fields)))
