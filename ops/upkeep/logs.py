"""Reads log lines of functions and APIs from CloudWatch Logs."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from environments.resource_names import access_log_group
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.terraform.state import outputs

T = TypeVar("T")
POLL_INTERVAL = 2.0
"""Seconds between two requests in follow mode."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
STANDARD_FIELDS = ("timestamp", "level", "location", "message")
"""Fields of every JSON log line. `Line.as_text` appends only other fields as `NAME=VALUE`."""
GATEWAY = "gateway"
"""The service name for lines of API Gateway's access logs."""
PARALLEL = 8
"""Number of log groups that a search reads at the same time."""
PARALLEL_FOLLOWED = 2
"""Number of log groups that follow mode reads at the same time. Follow mode can run for hours, so
low memory use matters more than speed.
"""
OVERLAP = 10_000
"""Milliseconds. In follow mode, each request starts this long before the newest event read so
far, because CloudWatch Logs delivers events a few seconds out of order."""


@dataclass(frozen=True, slots=True)
class Line:
    """One log line of a function or an API."""

    timestamp: int
    """Milliseconds since the epoch."""
    message: str
    service: str = ""
    """The function, or GATEWAY."""

    def as_json(self) -> str:
        """Returns the line as a JSON object, in which a JSON message is a nested object."""
        service = {"service": self.service} if self.service else {}
        message = self.fields() or self.message.rstrip()
        return json.dumps({**service, "timestamp": self._time(), "message": message})

    def as_text(self) -> str:
        """Returns a line with time, level, message and other fields.

        If the message is not JSON, the line has only the time and the message.
        """
        fields = self.fields()
        if fields is None:
            return f"{self._time()} {self.message.rstrip()}"
        rest = " ".join(
            f"{name}={value}" for name, value in fields.items() if name not in STANDARD_FIELDS
        )
        level, message = fields.get("level", ""), fields.get("message", "")
        return f"{self._time()} {level:<7} {message} {rest}".rstrip()

    def fields(self) -> dict[str, Any] | None:
        """Returns the message's JSON object, or None if the message is not one."""
        try:
            value = json.loads(self.message)
        except json.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None

    def _time(self) -> str:
        return (
            datetime.fromtimestamp(self.timestamp / 1000, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )


def parse_since(text: str, now: float | None = None) -> int:
    """Subtracts a duration such as `30s`, `10m`, `2h` or `1d` from the current time.

    Returns:
        Milliseconds since the epoch.

    Raises:
        ValueError: The text is not a duration.
    """
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match:
        raise ValueError(f"{text!r} is not a duration: use a number and s, m, h or d, such as 10m")
    return int(((time.time() if now is None else now) - int(match[1]) * UNITS[match[2]]) * 1000)


def read(cloud: Cloud, service: str, start: int) -> Iterator[Line]:
    """Yields the lines since `start` (milliseconds since the epoch), oldest first.

    Raises:
        OperatorError: The environment has no such service.
    """
    yield from _lines(cloud.client("logs"), log_group(cloud, service), start, service)


def follow(cloud: Cloud, service: str, start: int) -> Iterator[Line]:
    """Yields the lines since `start`, then new lines until interrupted."""
    group = _FollowedGroup(cloud.client("logs"), log_group(cloud, service), start, service)
    while True:
        yield from sorted(group.poll(), key=lambda line: line.timestamp)
        time.sleep(POLL_INTERVAL)


def search(
    cloud: Cloud, groups: Mapping[str, str], start: int, pattern: str | None = None
) -> list[Line]:
    """Returns the lines of several log groups since `start`, oldest first.

    Args:
        groups: Maps each log group's name to its service. A log group that does not exist is
            skipped.
        pattern: A filter pattern of CloudWatch Logs. The embedded AWS ignores JSON patterns.
    """
    client = cloud.client("logs")
    with ThreadPoolExecutor(PARALLEL) as pool:
        parts = pool.map(
            lambda item: _existing(lambda: _lines(client, item[0], start, item[1], pattern)),
            groups.items(),
        )
        return sorted((line for lines in parts for line in lines), key=lambda line: line.timestamp)


def follow_groups(
    cloud: Cloud,
    groups: Mapping[str, str],
    start: int,
    convert: Callable[[Line], T | None],
    pattern: str | None = None,
    *,
    interval: float = POLL_INTERVAL,
    limit: int | None = None,
) -> Iterator[list[T]]:
    """Yields the lines of several log groups since `start`, then new lines until interrupted.

    Reads all groups every `interval` seconds. Yields one list each time, oldest line first. The
    list is empty if there are no new lines.

    Args:
        convert: Converts a line to a value of the list, or returns None to omit the line. Each line
            is converted as soon as it is read, so that omitted lines use no memory.
        groups, start, pattern: See `search`.
        limit: Maximum number of values per log group in a list. If a log group has more new
            values, the list contains only the newest of them. Also the maximum number of events
            that CloudWatch Logs returns in one response. None for no limit.
    """
    client = cloud.client("logs")
    followed = [
        _FollowedGroup(client, group, start, service, pattern, limit)
        for group, service in groups.items()
    ]

    def poll(group: _FollowedGroup) -> Collection[tuple[int, T]]:
        return _existing(
            lambda: deque(
                (
                    (line.timestamp, value)
                    for line in group.poll()
                    if (value := convert(line)) is not None
                ),
                maxlen=limit,
            )
        )

    with ThreadPoolExecutor(PARALLEL_FOLLOWED) as pool:
        while True:
            timed_values = [item for items in pool.map(poll, followed) for item in items]
            yield [value for _, value in sorted(timed_values, key=lambda item: item[0])]
            del timed_values
            time.sleep(interval)


def log_group(cloud: Cloud, service: str) -> str:
    """Returns the name of a service's log group.

    Raises:
        OperatorError: The environment has no such service.
    """
    groups: dict[str, str] = outputs(cloud)["log_groups"]
    if service not in groups:
        raise OperatorError(
            f"{cloud.environment.name} has no service {service}: use one of"
            f" {', '.join(sorted(groups))}"
        )
    return groups[service]


def all_log_groups(cloud: Cloud) -> dict[str, str]:
    """Returns a dictionary from each log group's name to its service.

    The service of the APIs' access logs is GATEWAY.
    """
    environment = cloud.environment.name
    return {
        **{group: service for service, group in outputs(cloud)["log_groups"].items()},
        **{access_log_group(api, environment): GATEWAY for api in ("api", "websocket")},
    }


@dataclass
class _FollowedGroup:
    """A log group whose new events are read repeatedly."""

    client: Any
    group: str
    start: int
    service: str
    pattern: str | None = None
    page_size: int | None = None
    seen: set[tuple[str | int, int]] = field(default_factory=set)
    """The key (event id or hash) and the time of each yielded event that `poll` will read again."""

    def poll(self) -> Iterator[Line]:
        """Yields the lines that no earlier call yielded."""
        newest = self.start
        for event in _events(self.client, self.group, self.start, self.pattern, self.page_size):
            # Events of the embedded AWS have no event id, so a hash is their key. A hash takes less
            # memory than the message.
            key = event.get("eventId") or hash((event.get("logStreamName"), event["message"]))
            newest = max(newest, event["timestamp"])
            if (key, event["timestamp"]) not in self.seen:
                self.seen.add((key, event["timestamp"]))
                yield Line(event["timestamp"], event["message"], self.service)
        self.start = max(self.start, newest - OVERLAP)
        self.seen = {(key, at) for key, at in self.seen if at >= self.start}


def _existing(read_lines: Callable[[], Collection[T]]) -> Collection[T]:
    """Calls `read_lines`. Returns an empty list if the log group does not exist."""
    try:
        return read_lines()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return []


def _lines(
    client: Any, group: str, start: int, service: str, pattern: str | None = None
) -> list[Line]:
    events = sorted(
        _events(client, group, start, pattern),
        key=lambda event: (event["timestamp"], event.get("ingestionTime", 0)),
    )
    return [Line(event["timestamp"], event["message"], service) for event in events]


def _events(
    client: Any,
    group: str,
    start: int,
    pattern: str | None = None,
    page_size: int | None = None,
) -> Iterator[dict[str, Any]]:
    options = {"filterPattern": pattern} if pattern else {}
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=start, PaginationConfig={"PageSize": page_size}, **options
    )
    for page in pages:
        yield from page["events"]
