"""Tests how log lines of functions are read and printed."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.upkeep.logs import Line, parse_since, read
from tests.ops.clouds import store_state

PAGE = 10_000
"""Maximum number of events in one response of CloudWatch Logs."""


def test_json_message_is_printed_as_one_line() -> None:
    message = json.dumps(
        {"level": "INFO", "message": "logged in", "timestamp": "x", "correlation_id": "c1"}
    )
    assert (
        Line(0, message).as_text() == "1970-01-01T00:00:00.000Z INFO    logged in correlation_id=c1"
    )


def test_line_of_the_runtime_is_printed_unchanged() -> None:
    assert Line(1500, "END RequestId: 1\n").as_text() == "1970-01-01T00:00:01.500Z END RequestId: 1"


@pytest.mark.parametrize(
    ("message", "expected"), [('{"a": 1}', {"a": 1}), ("text\n", "text"), ("[1]", "[1]")]
)
def test_json_output_contains_a_json_message_as_an_object(message: str, expected: Any) -> None:
    assert json.loads(Line(0, message).as_json())["message"] == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_duration_is_parsed(text: str, seconds: int) -> None:
    assert parse_since(text, now=100_000) == (100_000 - seconds) * 1000


@pytest.mark.parametrize("text", ["", "10", "m", "1.5h", "-1m"])
def test_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_since(text)


def test_lines_since_the_start_are_read_oldest_first(cloud: Cloud) -> None:
    client, group = boto3.client("logs", region_name="us-east-1"), "/aws/lambda/auth-lambda-dev"
    client.create_log_group(logGroupName=group)
    store_state(cloud, {"log_groups": {"auth": group}})
    now = parse_since("0s")
    for stream, offset in (("b", -1000), ("a", -3000), ("c", -90_000)):
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": now + offset, "message": stream}
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])  # type: ignore[list-item]
    assert [line.message for line in read(cloud, "auth", now - 60_000)] == ["a", "b"]


def test_all_pages_of_lines_are_read(cloud: Cloud) -> None:
    client, group = boto3.client("logs", region_name="us-east-1"), "/aws/lambda/auth-lambda-dev"
    client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName="a")
    store_state(cloud, {"log_groups": {"auth": group}})
    now = parse_since("0s")
    for start in (0, PAGE):
        events = [{"timestamp": now, "message": str(start + n)} for n in range(PAGE)]
        client.put_log_events(logGroupName=group, logStreamName="a", logEvents=events)  # type: ignore[arg-type]
    assert len({line.message for line in read(cloud, "auth", now)}) == 2 * PAGE


def test_unknown_service_is_rejected(cloud: Cloud) -> None:
    store_state(cloud, {"log_groups": {"auth": "/aws/lambda/a", "chat": "/aws/lambda/b"}})
    with pytest.raises(OperatorError, match="dev has no service nobody: use one of auth, chat"):
        list(read(cloud, "nobody", 0))
