"""Parses the log lines of functions and APIs, and merges them into one stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from ops.cloud import Cloud
from ops.upkeep.logs import POLL_INTERVAL, Line, all_log_groups, follow_groups, log_group

T = TypeVar("T")
RUNTIME = ("START ", "END ", "REPORT ", "INIT_START ")
"""Prefixes of the lines that Lambda writes for each invocation. They are hidden."""
PLAIN_COLOURS = ("cyan", "magenta", "green", "yellow", "blue")
COLOURS = (*PLAIN_COLOURS, *(f"bright_{colour}" for colour in PLAIN_COLOURS))


def choose_colours(services: Iterable[str]) -> dict[str, str]:
    """Returns the terminal colour in which each service's log lines are printed."""
    return dict(zip(sorted(set(services)), itertools.cycle(COLOURS), strict=False))


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line, parsed if it is JSON."""

    time: int
    """Milliseconds since the epoch. The time in the line, if the line is JSON and has one."""
    service: str
    """The function, or `gateway` for the access logs of API Gateway."""
    level: str
    """The log level, for example `INFO`. Empty if the line has none."""
    message: str
    fields: dict[str, Any]
    """The other fields of a JSON line."""

    def field(self, name: str) -> str:
        """Returns a field as text. Empty if the field is missing or `-`, as in access logs."""
        value = self.fields.get(name)
        return "" if value in (None, "-") else str(value)

    @property
    def trace(self) -> str:
        """The id of the X-Ray trace. Empty if the line has none."""
        trace = self.field("xray_trace_id") or self.field("traceId")
        return trace.removeprefix("Root=").partition(";")[0]


def parse_line(line: Line) -> LogLine:
    """Parses a log line."""
    fields = line.fields()
    if fields is None:
        return LogLine(line.timestamp, line.service, "", line.message.rstrip(), {})
    fields = dict(fields)
    level, message = str(fields.pop("level", "")), str(fields.pop("message", ""))
    try:
        # Uses the time in the line, because the embedded AWS stores all lines of an invocation with
        # the time at which the invocation ended.
        time = int(datetime.fromisoformat(fields.pop("timestamp", "")).timestamp() * 1000)
    except (TypeError, ValueError):
        time = line.timestamp
    return LogLine(time, line.service, level, message, fields)


def follow_services(
    cloud: Cloud, services: Sequence[str], start: int, *, interval: float = POLL_INTERVAL
) -> Iterator[list[Line]]:
    """Yields the log lines since `start`, then new lines until interrupted.

    Yields a list every `interval` seconds, oldest line first, even if the list is empty. Omits the
    lines that the Lambda runtime writes.

    Args:
        services: Functions, or `gateway`. Empty for all.
        start: Milliseconds since the epoch.

    Raises:
        OperatorError: The environment has no such function, or has not been deployed.
    """
    yield from _follow(cloud, services, start, lambda line: line, interval=interval)


def follow_lines(
    cloud: Cloud,
    services: Sequence[str],
    start: int,
    *,
    interval: float = POLL_INTERVAL,
    limit: int | None = None,
) -> Iterator[list[LogLine]]:
    """Yields the same log lines as `follow_services`, parsed.

    Args:
        limit: See `ops.upkeep.logs.follow_groups`.
    """
    yield from _follow(cloud, services, start, parse_line, interval=interval, limit=limit)


def _follow(
    cloud: Cloud,
    services: Sequence[str],
    start: int,
    convert: Callable[[Line], T],
    *,
    interval: float,
    limit: int | None = None,
) -> Iterator[list[T]]:
    groups = all_log_groups(cloud)
    for service in set(services) - set(groups.values()):
        log_group(cloud, service)  # raises OperatorError, because no such service exists
    followed = {
        group: service for group, service in groups.items() if not services or service in services
    }

    def convert_unless_hidden(line: Line) -> T | None:
        return None if line.message.startswith(RUNTIME) else convert(line)

    yield from follow_groups(
        cloud, followed, start, convert_unless_hidden, interval=interval, limit=limit
    )
