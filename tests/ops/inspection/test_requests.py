"""Tests the lists of requests and the streams of log lines, on moto."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.inspection.lines import LogLine, follow_lines, follow_services
from ops.inspection.requests import REQUEST, Request, follow_requests
from tests.ops.inspection.logged_environment import NOW, LoggedEnvironment


@pytest.fixture
def logged(cloud: Cloud) -> LoggedEnvironment:
    return LoggedEnvironment(cloud)


def write_requests(logged: LoggedEnvironment) -> None:
    logged.log(
        "post",
        30,
        "request",
        method="GET",
        route="/v1/posts",
        status=503,
        duration_ms=12.5,
        caller="registered",
        correlation_id="c-1",
    )
    logged.log(
        "chat",
        20,
        "frame",
        route="send_message",
        outcome="not_joined",
        duration_ms=3.0,
        caller="anonymous",
        correlation_id="c-2",
    )
    logged.log("chat", 21, "message announced", correlation_id="c-2")
    logged.access(
        "api",
        0,
        requestId="r-1",
        method="GET",
        path="/v1/posts",
        status="503",
        latency="40",
        integrationLatency="35",
    )
    logged.access(
        "api", 5, requestId="r-2", method="GET", resourcePath="/v1/posts", status="401", latency="2"
    )
    logged.access(
        "websocket",
        6,
        requestId="r-3",
        route="$connect",
        status="502",
        integrationLatency="9",
        integrationError="died",
    )


def test_requests_frames_and_responses_of_the_gateway_are_listed(
    logged: LoggedEnvironment,
) -> None:
    write_requests(logged)
    rows = {
        (each.kind, each.service, each.method, each.route, each.status, each.failed, each.caller)
        for each in next(follow_requests(logged.cloud, NOW - 1000))
    }
    assert rows == {
        ("request", "post", "GET", "/v1/posts", "503", True, "registered"),
        ("frame", "chat", "", "send_message", "not_joined", False, "anonymous"),
        ("request", "gateway", "GET", "/v1/posts", "401", False, "nobody"),
        ("frame", "gateway", "", "$connect", "502", True, ""),
    }


def test_requests_are_sorted_and_have_the_id_of_their_waterfall(logged: LoggedEnvironment) -> None:
    write_requests(logged)
    requests = next(follow_requests(logged.cloud, NOW - 1000))
    assert [each.time for each in requests] == sorted(each.time for each in requests)
    assert {each.correlation_id for each in requests} == {"c-1", "c-2", "r-2", "r-3"}
    assert [each.duration for each in requests if each.service == "post"] == [12.5]


def test_following_reports_each_new_request_once(logged: LoggedEnvironment) -> None:
    batches: Iterator[list[Request]] = follow_requests(logged.cloud, NOW - 1000, interval=0)
    assert next(batches) == []
    write_requests(logged)
    assert len(next(batches)) == 4
    assert next(batches) == []


def test_the_log_lines_of_all_services_form_one_ordered_stream(logged: LoggedEnvironment) -> None:
    stream: Iterator[list[LogLine]] = follow_lines(logged.cloud, (), NOW - 1000, interval=0)
    logged.log("post", 10, "second", correlation_id="c")
    logged.log("chat", 5, "first")
    logged.write("chat", 60, "START RequestId: 1 Version: 2")
    logged.write("relay", 70, "not JSON")
    lines = next(stream)
    assert [(line.service, line.message) for line in lines] == [
        ("chat", "first"),
        ("post", "second"),
        ("relay", "not JSON"),
    ]
    assert lines[0].time == NOW + 5
    assert lines[1].fields == {"correlation_id": "c"}
    assert next(stream) == []


def test_a_limit_keeps_only_the_newest_requests_of_each_function(
    logged: LoggedEnvironment,
) -> None:
    for number in range(5):
        fields = {"route": str(number), "status": "200", "correlation_id": "c"}
        logged.log("post", number, REQUEST, **fields)
    logged.log("chat", 0, REQUEST, route="other", status="200", correlation_id="c")
    batches: Iterator[list[Request]] = follow_requests(
        logged.cloud, NOW - 1000, interval=0, limit=2
    )
    assert sorted(each.route for each in next(batches)) == ["3", "4", "other"]
    assert next(batches) == []


def test_some_services_can_be_selected(logged: LoggedEnvironment) -> None:
    logged.log("post", 0, "unwanted")
    logged.access("api", 0, status="200")
    logged.log("chat", 0, "wanted")
    lines = next(follow_services(logged.cloud, ("chat", "gateway"), NOW - 1000))
    assert sorted(line.service for line in lines) == ["chat", "gateway"]


def test_an_unknown_service_is_rejected(logged: LoggedEnvironment) -> None:
    with pytest.raises(OperatorError, match="dev has no service nobody: use one of auth"):
        next(follow_services(logged.cloud, ("nobody",), NOW))


def test_a_missing_log_group_is_read_as_empty(logged: LoggedEnvironment) -> None:
    logs_client = logged.cloud.client("logs")
    logs_client.delete_log_group(logGroupName="/aws/lambda/auth-lambda-dev")
    assert next(follow_services(logged.cloud, (), NOW)) == []
