"""A service's log lines from CloudWatch Logs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.errors import OperatorError

POLL_INTERVAL = 2.0
"""Seconds between questions while following."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LEADING = ("timestamp", "level", "location", "message")


@dataclass(frozen=True)
class Line:
    """One log event."""

    timestamp: int
    """Milliseconds since the epoch."""
    message: str

    def as_json(self) -> str:
        """The event as one JSON object; a message that is JSON itself stays an object."""
        return json.dumps(
            {"timestamp": self._time(), "message": self._fields() or self.message.rstrip()}
        )

    def as_text(self) -> str:
        """Time, level, message and the remaining fields; lines that are no JSON (the runtime's own) as they are."""
        fields = self._fields()
        if fields is None:
            return f"{self._time()} {self.message.rstrip()}"
        rest = " ".join(f"{name}={value}" for name, value in fields.items() if name not in LEADING)
        return f"{self._time()} {fields.get('level', ''):<7} {fields.get('message', '')} {rest}".rstrip()

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
    """The instant `10m` (30s, 2h, 1d) ago, in milliseconds since the epoch.

    Raises:
        ValueError: the text is no such duration.
    """
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match:
        raise ValueError(f"{text!r} is no duration: give a number and s, m, h or d, such as 10m")
    return int(((time.time() if now is None else now) - int(match[1]) * UNITS[match[2]]) * 1000)


def read(cloud: Cloud, service: str, start: int) -> Iterator[Line]:
    """The lines since `start` (milliseconds since the epoch), oldest first.

    Raises:
        OperatorError: the environment has no such function.
    """
    for event in _events(cloud, cloud.client("logs"), service, start):
        yield Line(event["timestamp"], event["message"])


def follow(cloud: Cloud, service: str, start: int) -> Iterator[Line]:
    """The same, and then what comes, until stopped. Lines that arrive late or share a millisecond are shown once."""
    client = cloud.client("logs")
    seen: dict[Any, int] = {}
    while True:
        for event in _events(cloud, client, service, start):
            # The embedded AWS gives the lines of functions no id.
            key = event.get("eventId") or (
                event.get("logStreamName"),
                event["timestamp"],
                event["message"],
            )
            if key not in seen:
                seen[key] = event["timestamp"]
                yield Line(event["timestamp"], event["message"])
        # CloudWatch delivers out of order by some seconds: look back a little each time.
        start = max(start, max(seen.values(), default=start) - 10_000)
        seen = {key: timestamp for key, timestamp in seen.items() if timestamp >= start}
        time.sleep(POLL_INTERVAL)


def _events(cloud: Cloud, client: Any, service: str, start: int) -> list[dict[str, Any]]:
    group = f"/aws/lambda/{service}-lambda-{cloud.environment.name}"
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start)
    try:
        found = [event for page in pages for event in page["events"]]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise OperatorError(
            f"{cloud.environment.name} has no log group {group}: services are auth, profile, chat, post, catalog, ai,"
            " authorizer, health, migration, relay, statistics and delivery"
        ) from error
    return sorted(found, key=lambda event: (event["timestamp"], event.get("ingestionTime", 0)))
