"""Reads a service's log lines from CloudWatch Logs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.terraform.state import outputs

POLL_INTERVAL = 2.0
"""Seconds between two requests in follow mode."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LEADING = ("timestamp", "level", "location", "message")


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    timestamp: int
    """Milliseconds since the epoch."""
    message: str

    def as_json(self) -> str:
        """Returns the event as a JSON object. If the message is JSON, it is nested as an object."""
        return json.dumps(
            {"timestamp": self._time(), "message": self._fields() or self.message.rstrip()}
        )

    def as_text(self) -> str:
        """Returns a line with time, level, message and other fields.

        If the message is not JSON, the line has only the time and the message.
        """
        fields = self._fields()
        if fields is None:
            return f"{self._time()} {self.message.rstrip()}"
        rest = " ".join(f"{name}={value}" for name, value in fields.items() if name not in LEADING)
        level, message = fields.get("level", ""), fields.get("message", "")
        return f"{self._time()} {level:<7} {message} {rest}".rstrip()

    def _fields(self) -> dict[str, Any] | None:
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
    """Returns the time before a duration such as `30s`, `10m`, `2h` or `1d`.

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
        OperatorError: The environment has no such function.
    """
    for event in _events(cloud.client("logs"), log_group(cloud, service), start):
        yield Line(event["timestamp"], event["message"])


def follow(cloud: Cloud, service: str, start: int) -> Iterator[Line]:
    """Yields the lines since `start`, then new lines until interrupted."""
    client, group = cloud.client("logs"), log_group(cloud, service)
    seen: dict[Any, int] = {}
    while True:
        for event in _events(client, group, start):
            # Events of the embedded AWS have no event id.
            key = event.get("eventId") or (
                event.get("logStreamName"),
                event["timestamp"],
                event["message"],
            )
            if key not in seen:
                seen[key] = event["timestamp"]
                yield Line(event["timestamp"], event["message"])
        # CloudWatch delivers events some seconds out of order, so each request reads 10 s again.
        start = max(start, max(seen.values(), default=start) - 10_000)
        seen = {key: timestamp for key, timestamp in seen.items() if timestamp >= start}
        time.sleep(POLL_INTERVAL)


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


def _events(client: Any, group: str, start: int) -> list[dict[str, Any]]:
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start)
    events = [event for page in pages for event in page["events"]]
    return sorted(events, key=lambda event: (event["timestamp"], event.get("ingestionTime", 0)))
