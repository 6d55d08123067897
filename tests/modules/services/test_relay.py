"""The relay: what feeds it, what it may do, and who hears when it fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modules.services.relay import Relay
from tests.modules.service_stacks import function_behind, synthesize_services
from tests.modules.synthesis import Synthesized, environment

ACCOUNT = "111122223333"


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(
        environment("dev"),
        tmp_path_factory.mktemp("dev"),
        more=lambda stack, platform: Relay(
            stack, "relay", platform=platform, kms_key_arn="arn:aws:kms:key"
        ),
    )


def source(dev: Synthesized, arn: str) -> dict[str, Any]:
    [found] = [
        item
        for item in dev.all("aws_lambda_event_source_mapping")
        if arn in item["event_source_arn"]
    ]
    assert function_behind(dev, found["function_name"]) == "relay-lambda-dev"
    return found


def stream(dev: Synthesized) -> dict[str, Any]:
    return source(dev, "table/platform-outbox-dev/stream")


def queue(dev: Synthesized) -> dict[str, Any]:
    return source(dev, "relay_retries_queue")


def test_every_new_event_reaches_it_and_what_it_removes_does_not(dev: Synthesized) -> None:
    found = stream(dev)
    assert found["starting_position"] == "TRIM_HORIZON"
    assert [json.loads(f["pattern"]) for f in found["filter_criteria"]["filter"]] == [
        {"eventName": ["INSERT"]}
    ]


def test_a_batch_that_fails_is_halved_and_at_last_told_to_the_retry_queue(dev: Synthesized) -> None:
    found = stream(dev)
    assert found["bisect_batch_on_function_error"] is True
    assert (
        2 ** found["maximum_retry_attempts"]
        <= found["batch_size"]
        < 2 ** (found["maximum_retry_attempts"] + 1)
    )
    assert "retries_queue" in found["destination_config"]["on_failure"]["destination_arn"]


def test_messages_of_the_retry_queue_fail_one_by_one(dev: Synthesized) -> None:
    assert queue(dev)["function_response_types"] == ["ReportBatchItemFailures"]
    retries = dev.one("aws_sqs_queue", name="relay-retries-queue-dev")
    assert retries["visibility_timeout_seconds"] == 180
    assert retries["delay_seconds"] == 15
    assert json.loads(retries["redrive_policy"])["deadLetterTargetArn"].endswith(
        ":relay-retries-dlq-dev"
    )


def test_what_the_stream_forgot_is_searched_for_every_hour(dev: Synthesized) -> None:
    rule = dev.one("aws_cloudwatch_event_rule", name="relay-sweep-rule-dev")
    assert rule["schedule_expression"] == "rate(1 hour)"
    target = dev.one("aws_cloudwatch_event_target", target_id="relay")
    assert "retries_queue" in target["arn"]
    [sender, _] = dev.policy("aws_sqs_queue", name="relay-retries-queue-dev")
    arn = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/relay-sweep-rule-dev"
    assert sender["Condition"] == {"ArnEquals": {"aws:SourceArn": arn}}


def test_it_may_empty_the_outbox_publish_and_retry_and_nothing_else(dev: Synthesized) -> None:
    statements = {s["Sid"]: s for s in dev.policy("aws_iam_role_policy", name="relay-policy-dev")}
    assert set(statements) == {
        "Outbox",
        "Events",
        "Retries",
        "StreamSource",
        "QueueSource",
        "QueueKey",
        "Logs",
        "Traces",
    }
    assert statements["Outbox"]["Resource"].endswith(":table/platform-outbox-dev")
    assert statements["Outbox"]["Action"] == [
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:Scan",
    ]
    assert statements["Events"]["Condition"] == {
        "StringLikeIfExists": {"events:source": "multitask.*"}
    }
    assert "/stream/" in statements["StreamSource"]["Resource"]
    assert statements["Retries"]["Action"] == "sqs:SendMessage"
    assert statements["QueueKey"]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statements["QueueKey"]["Condition"] == {
        "StringEquals": {"kms:ViaService": "sqs.us-east-1.amazonaws.com"}
    }


def test_a_relay_that_does_not_keep_up_raises_an_alarm_on_every_path(dev: Synthesized) -> None:
    alarms = {alarm["alarm_name"]: alarm for alarm in dev.all("aws_cloudwatch_metric_alarm")}
    assert alarms["relay-stream-age-alarm-dev"]["metric_name"] == "IteratorAge"
    assert alarms["relay-stream-age-alarm-dev"]["threshold"] == 60_000
    for name in ("stream-age", "retries-age", "retries-dlq", "errors", "throttles"):
        assert alarms[f"relay-{name}-alarm-dev"]["alarm_actions"], name
