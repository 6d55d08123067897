"""Reads the latest REST requests and WebSocket frames of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ops.cloud import Cloud
from ops.inspection.lines import LogLine, parse_line
from ops.upkeep.logs import GATEWAY, POLL_INTERVAL, Line, all_log_groups, follow_groups

REQUEST, FRAME = "request", "frame"
"""The messages of the log lines that functions write at the end of each request and frame."""
ENDS = f'{{ $.message = "{REQUEST}" || $.message = "{FRAME}" || $.requestId = * }}'
"""The filter pattern of CloudWatch Logs that matches these lines, and all lines of access logs."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the REST API, or a frame of the WebSocket API."""

    time: int
    """The time of the response in milliseconds since the epoch."""
    kind: Literal["request", "frame"]
    service: str
    """The function, or `gateway` if API Gateway itself sent the response."""
    method: str
    """The HTTP method. Empty for frames."""
    route: str
    status: str
    """The HTTP status. For frames, `ok` or the code of the error."""
    failed: bool
    """True if the request failed because of the platform: its status is 500 or more, or the
    invocation failed.
    """
    duration: float | None
    """Milliseconds that the function took, or that API Gateway took if it sent the response."""
    caller: str
    """`registered`, `anonymous`, `nobody` (not authenticated), or empty if unknown."""
    correlation_id: str


def follow_requests(
    cloud: Cloud, start: int, *, interval: float = POLL_INTERVAL, limit: int | None = None
) -> Iterator[list[Request]]:
    """Yields the requests and frames since `start`, then new ones until interrupted.

    Yields a list every `interval` seconds, even if the list is empty.

    Args:
        limit: See `ops.upkeep.logs.follow_groups`.

    Raises:
        OperatorError: The environment has not been deployed.
    """
    groups = all_log_groups(cloud)
    followed = follow_groups(cloud, groups, start, _request, ENDS, interval=interval, limit=limit)
    for requests in followed:
        yield sorted(requests, key=lambda request: request.time)


def _request(line: Line) -> Request | None:
    """Returns the request whose end the line describes, or None for any other line."""
    parsed = parse_line(line)
    return _of_gateway(parsed) if line.service == GATEWAY else _of_function(parsed)


def _of_function(line: LogLine) -> Request | None:
    if line.message not in {REQUEST, FRAME} or "route" not in line.fields:
        return None
    status = line.field("status") or line.field("outcome")
    return Request(
        time=line.time,
        kind="request" if line.message == REQUEST else "frame",
        service=line.service,
        method=line.field("method"),
        route=line.field("route"),
        status=status,
        failed=is_failure(status),
        duration=parse_number(line.field("duration_ms")),
        caller=line.field("caller"),
        correlation_id=line.field("correlation_id"),
    )


def _of_gateway(line: LogLine) -> Request | None:
    """Returns a request to which API Gateway itself responded. None for all other requests."""
    # No latency or 0 ms means that API Gateway invoked no function: a mock integration takes less
    # than a millisecond, and an invocation always takes longer.
    has_invoked = line.field("integrationLatency") not in {"", "0"}
    if has_invoked and not line.field("integrationError"):
        return None
    is_frame = "route" in line.fields
    return Request(
        time=line.time,
        kind="frame" if is_frame else "request",
        service=GATEWAY,
        method=line.field("method"),
        route=line.field("route") or line.field("resourcePath") or line.field("path"),
        status=line.field("status"),
        failed=is_failure(line.field("status")) or bool(line.field("integrationError")),
        duration=parse_number(line.field("latency")),
        caller="nobody" if line.field("status") == "401" else "",
        correlation_id=line.field("requestId"),
    )


def is_failure(status: str) -> bool:
    """Returns True if an HTTP status or a frame's error code reports a failure of the platform."""
    return status in {"internal_error", "dependency_unavailable"} or (
        status.isdecimal() and int(status) >= 500
    )


def parse_number(text: str) -> float | None:
    """Returns the number in a field of a log line, or None if the field is not a number."""
    try:
        return float(text)
    except ValueError:
        return None
