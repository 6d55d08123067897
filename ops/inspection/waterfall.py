"""Finds all steps with one correlation id in API Gateway, functions, events, queues and
WebSockets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.inspection.lines import RUNTIME, LogLine, parse_line
from ops.inspection.requests import is_failure, parse_number
from ops.upkeep.logs import GATEWAY, Line, all_log_groups, search

CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""Matches the correlation ids that functions accept from clients."""
AUTHORIZER = "authorizer"
Kind = Literal["gateway", "authorizer", "function", "event", "consumer", "delivery"]

KINDS: dict[str, Kind] = {
    "request": "function",
    "frame": "function",
    "authorized": "authorizer",
    "event published": "event",
    "event not published": "event",
    "message handled": "consumer",
    "message not handled": "consumer",
    "frames sent": "delivery",
}
"""Kinds of spans, by the message of the log line that ends the span."""
ORDER: tuple[Kind, ...] = ("gateway", "authorizer", "function", "event", "consumer", "delivery")
"""The order of spans that start at the same time."""
MARGIN = 5
"""Milliseconds by which clocks and rounded times may differ."""


@dataclass(frozen=True)
class Span:
    """One step of a request, or of the events and messages that the request caused."""

    kind: Kind
    service: str
    name: str
    """The route, the event's type, the queue, or the type of the frame."""
    start: int
    """The start of the step, in milliseconds since the epoch."""
    duration: float
    """The duration of the step in milliseconds."""
    status: str
    error: str | None = None
    """Why the step failed. None if it did not fail."""
    fields: dict[str, Any] = field(default_factory=dict)
    lines: list[LogLine] = field(default_factory=list)


@dataclass(frozen=True)
class Waterfall:
    """All steps with one correlation id, in the order of their start."""

    environment: str
    correlation_id: str
    start: int
    """The start of the first step, in milliseconds since the epoch."""
    duration: float
    """Milliseconds from the start of the first step to the end of the last one."""
    spans: list[Span]
    links: dict[str, str]
    """URLs of pages in the AWS console by link text. Empty for the embedded AWS."""


def read_waterfall(cloud: Cloud, correlation_id: str, start: int) -> Waterfall:
    """Returns all steps with a correlation id since `start` (milliseconds since the epoch).

    Raises:
        OperatorError: The id is malformed, or no log line has it.
    """
    if not CORRELATION_ID.fullmatch(correlation_id):
        raise OperatorError(
            f"{correlation_id!r} is not a correlation id: use the header X-Correlation-Id of a"
            " response, at most 128 letters, digits and . _ : -"
        )
    lines = _collect(cloud, correlation_id, start)
    if not lines:
        raise OperatorError(
            f"No log line of {cloud.environment.name} has the correlation id {correlation_id}:"
            " increase --since, or wait some seconds until CloudWatch Logs has received the lines"
        )
    spans = build_spans(lines)
    first = min(span.start for span in spans)
    last = max(span.start + span.duration for span in spans)
    return Waterfall(
        environment=cloud.environment.name,
        correlation_id=correlation_id,
        start=first,
        duration=round(last - first, 1),
        spans=spans,
        links=_links(cloud, correlation_id, [line.trace for line in lines if line.trace]),
    )


def _collect(cloud: Cloud, correlation_id: str, start: int) -> list[LogLine]:
    """Returns the lines with the correlation id, and related lines of the gateway and authorizer.

    Access logs and the authorizer's lines do not contain the correlation id. The request ids in the
    lines of functions lead to the access logs. The trace ids in the access logs lead to the
    authorizer's lines.
    """
    groups = all_log_groups(cloud)
    gateway = {group: service for group, service in groups.items() if service == GATEWAY}
    authorizer = {group: service for group, service in groups.items() if service == AUTHORIZER}
    lines = _find(cloud, groups, [correlation_id], start)
    requests = {line.field("api_request_id") for line in lines} - {"", correlation_id}
    lines += _find(cloud, gateway, requests, start)
    traces = {line.trace for line in lines if line.service == GATEWAY} - {""}
    lines += _find(cloud, authorizer, traces, start)
    unique = {(line.time, line.service, line.message, repr(line.fields)): line for line in lines}
    return sorted(unique.values(), key=lambda line: line.time)


def _find(cloud: Cloud, groups: dict[str, str], ids: Collection[str], start: int) -> list[LogLine]:
    # Searches for each id separately, because the embedded AWS does not support filter patterns
    # with alternatives.
    lines: Iterable[Line] = (
        line for id_ in ids for line in search(cloud, groups, start, f'"{id_}"')
    )
    return [parse_line(line) for line in lines if not line.message.startswith(RUNTIME)]


def build_spans(lines: list[LogLine]) -> list[Span]:
    """Returns the spans that log lines describe, in the order of their start."""
    spans = [span for line in lines if (span := _span(line))]
    others = [line for line in lines if _span(line) is None]
    for line in others:
        owner = _owner(spans, line)
        if owner is None:
            owner = _unfinished(line)
            spans.append(owner)
        owner.lines.append(line)
    spans = [_explained(span) for span in spans]
    return sorted(spans, key=lambda span: (span.start, ORDER.index(span.kind)))


def _span(line: LogLine) -> Span | None:
    """Returns the span that this log line ends, or None if the line does not end a span."""
    if line.service == GATEWAY:
        return _gateway_span(line)
    kind = KINDS.get(line.message)
    if kind is None:
        return None
    duration = parse_number(line.field("duration_ms")) or 0.0
    if occurred := line.field("occurred_at"):
        duration = max(0.0, line.time - datetime.fromisoformat(occurred).timestamp() * 1000)
    route = f"{line.field('method')} {line.field('route')}".strip()
    name = line.field("event_type") or line.field("queue") or route or line.field("frame_type")
    status = line.field("status") or line.field("outcome")
    error = None
    if line.message in {"event not published", "message not handled"}:
        status, error = "failed", line.field("error") or "failed"
    elif status == "failed" or is_failure(status) or line.field("failed") not in {"", "0"}:
        error = line.field("code") or status or "failed"
    hidden = {"service", "stage", "location", "xray_trace_id", "correlation_id", "method", "route"}
    return Span(
        kind=kind,
        service=line.service,
        name=name or line.message,
        start=round(line.time - duration),
        duration=round(duration, 1),
        status=status or "ok",
        error=error,
        fields={key: value for key, value in line.fields.items() if key not in hidden},
        lines=[line],
    )


def _gateway_span(line: LogLine) -> Span:
    duration = parse_number(line.field("latency") or line.field("integrationLatency")) or 0.0
    start = parse_number(line.field("timeEpoch"))
    status = line.field("status")
    reason = line.field("integrationError") or line.field("error") or line.field("authorizerError")
    route = line.field("route") or f"{line.field('method')} {line.field('path')}"
    return Span(
        kind="gateway",
        service=GATEWAY,
        name=route,
        start=round(line.time - duration if start is None else start),
        duration=duration,
        status=status,
        error=reason or (status if is_failure(status) else None),
        fields={
            name: line.field(name)
            for name in ("requestId", "resourcePath", "event", "connectionId", "integrationLatency")
            if line.field(name)
        },
        lines=[line],
    )


def _owner(spans: list[Span], line: LogLine) -> Span | None:
    """Returns the span to which the line belongs, or None.

    Of the spans of the line's service and trace that include the line's time, this is the shortest.
    """
    candidates = [
        span
        for span in spans
        if span.service == line.service
        and span.start - MARGIN <= line.time <= span.start + span.duration + MARGIN
        and (not line.trace or line.trace in {each.trace for each in span.lines})
    ]
    return min(candidates, key=lambda span: span.duration, default=None)


def _unfinished(line: LogLine) -> Span:
    """Returns a span for a line of an invocation that did not log its end."""
    kind = KINDS["authorized"] if line.service == AUTHORIZER else "function"
    return Span(kind, line.service, line.message or "(no message)", line.time, 0.0, "unfinished")


def _explained(span: Span) -> Span:
    """Returns a copy of the span with the exception in its log lines, if any, as its error."""
    lines = sorted(span.lines, key=lambda line: line.time)
    failed = [line for line in lines if line.level in {"ERROR", "CRITICAL"}]
    reasons = [_exception(line) for line in failed]
    error = next(filter(None, reasons), span.error or (failed[0].message if failed else None))
    return Span(
        span.kind,
        span.service,
        span.name,
        span.start,
        span.duration,
        span.status,
        error,
        span.fields,
        lines,
    )


def _exception(line: LogLine) -> str:
    """Returns the type and the message of the exception in a line. Empty if it has none."""
    text = line.field("exception").strip()
    return text.splitlines()[-1] if text else line.field("reason") or line.field("error")


def _links(cloud: Cloud, correlation_id: str, traces: list[str]) -> dict[str, str]:
    if cloud.endpoint:
        return {}
    region = cloud.environment.region
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    query = f"fields @timestamp, @log, @message | filter @message like '{correlation_id}'"
    groups = "~".join(f"'{_escaped(group)}" for group in all_log_groups(cloud))
    detail = f"~(end~0~start~-3600~timeType~'RELATIVE~unit~'seconds~editorString~'{_escaped(query)}"
    detail += f"~source~(~{groups}))"
    return {
        **({"X-Ray": f"{console}#xray:traces/{traces[0]}"} if traces else {}),
        "Logs Insights": f"{console}#logsV2:logs-insights?queryDetail={detail}",
    }


def _escaped(text: str) -> str:
    """Escapes a text for the URL of CloudWatch Logs Insights, which uses `*` instead of `%`."""
    return quote(text, safe="").replace("%", "*")
