"""Tests waterfalls that are built from log lines, on moto."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.inspection.text import format_waterfall
from ops.inspection.waterfall import Span, Waterfall, read_waterfall
from tests.ops.inspection.logged_environment import NOW, LoggedEnvironment

TRACE = "1-5759e988-bd862e3fe1be46a994272793"
ID = "c-1"


@pytest.fixture
def logged(cloud: Cloud) -> LoggedEnvironment:
    return LoggedEnvironment(cloud)


def trace(logged: LoggedEnvironment, id_: str = ID) -> Waterfall:
    return read_waterfall(logged.cloud, id_, NOW - 60_000)


def only(waterfall: Waterfall, kind: str) -> Span:
    [span] = [span for span in waterfall.spans if span.kind == kind]
    return span


def write_post(logged: LoggedEnvironment) -> None:
    """Writes the lines of a request whose event the statistics function counts."""
    logged.access(
        "api",
        0,
        requestId="r-1",
        traceId=f"Root={TRACE}",
        method="POST",
        path="/v1/posts",
        status="201",
        latency="100",
        integrationLatency="80",
    )
    logged.log(
        "authorizer", 12, "authorized", outcome="Allow", duration_ms=8.0, xray_trace_id=TRACE
    )
    logged.log("post", 50, "note", correlation_id=ID, xray_trace_id=TRACE)
    logged.log(
        "post",
        95,
        "request",
        correlation_id=ID,
        xray_trace_id=TRACE,
        api_request_id="r-1",
        method="POST",
        route="/v1/posts",
        status=201,
        duration_ms=75.0,
    )
    occurred = datetime.fromtimestamp((NOW + 60) / 1000, UTC).isoformat(timespec="milliseconds")
    logged.log(
        "relay",
        130,
        "event published",
        correlation_id=ID,
        event_type="PostCreated",
        event_id="post-1",
        occurred_at=occurred,
    )
    logged.log(
        "statistics",
        170,
        "message handled",
        correlation_id=ID,
        queue="profile-events-queue-dev",
        queued_ms=20,
        duration_ms=10.0,
    )
    logged.log("post", 95, "request", correlation_id="other", status=201, duration_ms=1)
    logged.write("post", 95, "END RequestId: c-1")


def test_a_request_is_followed_to_the_consumer_of_its_event(logged: LoggedEnvironment) -> None:
    write_post(logged)
    waterfall = trace(logged)
    steps = [
        (span.kind, span.service, span.start - NOW, span.duration, span.status)
        for span in waterfall.spans
    ]
    assert steps == [
        ("gateway", "gateway", 0, 100.0, "201"),
        ("authorizer", "authorizer", 4, 8.0, "Allow"),
        ("function", "post", 20, 75.0, "201"),
        ("event", "relay", 60, 70.0, "ok"),
        ("consumer", "statistics", 160, 10.0, "ok"),
    ]
    assert (waterfall.start, waterfall.duration) == (NOW, 170)
    names = [span.name for span in waterfall.spans]
    assert names[2:] == ["POST /v1/posts", "PostCreated", "profile-events-queue-dev"]
    lines = [line.message for line in only(waterfall, "function").lines]
    assert lines == ["note", "request"]
    assert [span.error for span in waterfall.spans] == [None] * 5
    assert waterfall.links["X-Ray"].endswith(f"#xray:traces/{TRACE}")
    assert ID in waterfall.links["Logs Insights"]


def test_a_waterfall_can_be_printed_as_json(logged: LoggedEnvironment) -> None:
    write_post(logged)
    waterfall = trace(logged)
    encoded = msgspec.json.encode(waterfall)
    assert msgspec.json.decode(encoded, type=Waterfall) == waterfall


def test_a_failed_request_shows_the_exception(logged: LoggedEnvironment) -> None:
    exception = "Traceback (most recent call last):\n  File x\nKeyError: 'planted'"
    logged.log("post", 40, "the request failed", "ERROR", correlation_id=ID, exception=exception)
    logged.log(
        "post",
        41,
        "request",
        correlation_id=ID,
        route="/v1/posts",
        status=500,
        code="internal_error",
        duration_ms=30,
    )
    span = only(trace(logged), "function")
    assert (span.status, span.error) == ("500", "KeyError: 'planted'")


def test_a_4xx_response_shows_its_code_and_does_not_count_as_a_failure(
    logged: LoggedEnvironment,
) -> None:
    logged.log(
        "post", 9, "request", correlation_id=ID, status=422, code="invalid_fields", duration_ms=1
    )
    span = only(trace(logged), "function")
    assert (span.error, span.fields["code"]) == (None, "invalid_fields")


def test_a_crashed_function_is_explained_by_the_access_log(logged: LoggedEnvironment) -> None:
    logged.access(
        "api",
        0,
        requestId="r-9",
        method="GET",
        path="/v1/posts",
        status="502",
        latency="30001",
        integrationError="Task timed out after 30.00 seconds",
    )
    span = only(trace(logged, "r-9"), "gateway")
    assert (span.status, span.error) == ("502", "Task timed out after 30.00 seconds")


def test_an_invocation_without_an_end_is_shown(logged: LoggedEnvironment) -> None:
    logged.log("chat", 0, "started", correlation_id=ID)
    logged.log("chat", 9_000, "much later", "ERROR", correlation_id=ID, reason="ConnectTimeout")
    first, second = trace(logged).spans
    assert (first.status, first.error) == ("unfinished", None)
    assert (second.name, second.error) == ("much later", "ConnectTimeout")


def test_a_message_that_was_not_handled_and_frames_that_were_not_sent_are_errors(
    logged: LoggedEnvironment,
) -> None:
    logged.log(
        "statistics", 5, "message not handled", "ERROR", correlation_id=ID, exception="a\nE: x"
    )
    logged.log("delivery", 9, "frames sent", correlation_id=ID, sent=3, gone=0, failed=1)
    waterfall = trace(logged)
    assert only(waterfall, "consumer").error == "E: x"
    assert only(waterfall, "delivery").error == "failed"


def test_the_text_shows_steps_errors_and_lines(logged: LoggedEnvironment) -> None:
    write_post(logged)
    logged.log("chat", 150, "frame not sent", "ERROR", correlation_id=ID, reason="Timeout")
    text = [line.plain for line in format_waterfall(trace(logged))]
    assert text[0].startswith("c-1 in dev: 6 steps in 170 ms, from 20")
    assert any("error: Timeout" in line for line in text)
    assert any("+50 ms" in line and line.endswith("INFO     note") for line in text)
    assert any("statistics consumer   profile-events-queue-dev" in line for line in text)


def test_the_error_for_an_unknown_id_says_what_to_do(logged: LoggedEnvironment) -> None:
    with pytest.raises(OperatorError, match="No log line of dev has the correlation id c-1: incr"):
        trace(logged)


def test_a_malformed_id_is_rejected(logged: LoggedEnvironment) -> None:
    with pytest.raises(OperatorError, match="is not a correlation id"):
        trace(logged, 'c-1" "')


def test_the_command_prints_json(logged: LoggedEnvironment, dev_variables: None) -> None:
    write_post(logged)
    result = CliRunner().invoke(app, ["trace", ID, "--env", "dev", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["correlation_id"], len(document["spans"])) == (ID, 5)
