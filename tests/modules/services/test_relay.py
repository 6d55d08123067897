"""Tests the relay: its event sources, permissions and alarms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modules.services.relay import Relay
from tests.modules.service_stacks import function_name, synthesize_services
from tests.modules.synthesis import Synthesized, environment

ACCOUNT = "111122223333"


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(
        environment("dev"),
        tmp_path_factory.mktemp("dev"),
        add_constructs=lambda stack, platform: Relay(
            stack, "relay", platform=platform, kms_key_arn="arn:aws:kms:key"
        ),
    )


def event_source(dev: Synthesized, arn: str) -> dict[str, Any]:
    [mapping] = [
        item
        for item in dev.all("aws_lambda_event_source_mapping")
        if arn in item["event_source_arn"]
    ]
    assert function_name(dev, mapping["function_name"]) == "relay-lambda-dev"
    return mapping


def stream(dev: Synthesized) -> dict[str, Any]:
    return event_source(dev, "table/platform-outbox-dev/stream")


def queue(dev: Synthesized) -> dict[str, Any]:
    return event_source(dev, "relay_retries_queue")


def test_the_stream_delivers_new_events_but_not_deletions(dev: Synthesized) -> None:
    mapping = stream(dev)
    assert mapping["starting_position"] == "TRIM_HORIZON"
    assert [json.loads(f["pattern"]) for f in mapping["filter_criteria"]["filter"]] == [
        {"eventName": ["INSERT"]}
    ]


def test_a_failing_batch_is_halved_and_finally_reported_to_the_retry_queue(
    dev: Synthesized,
) -> None:
    mapping = stream(dev)
    assert mapping["bisect_batch_on_function_error"] is True
    assert (
        2 ** mapping["maximum_retry_attempts"]
        <= mapping["batch_size"]
        < 2 ** (mapping["maximum_retry_attempts"] + 1)
    )
    assert "retries_queue" in mapping["destination_config"]["on_failure"]["destination_arn"]


def test_the_retry_queue_redelivers_only_failed_messages(dev: Synthesized) -> None:
    assert queue(dev)["function_response_types"] == ["ReportBatchItemFailures"]
    retries = dev.find_only("aws_sqs_queue", name="relay-retries-queue-dev")
    assert retries["visibility_timeout_seconds"] == 180
    assert retries["delay_seconds"] == 15
    assert json.loads(retries["redrive_policy"])["deadLetterTargetArn"].endswith(
        ":relay-retries-dlq-dev"
    )


def test_a_schedule_sends_to_the_retry_queue_every_hour(dev: Synthesized) -> None:
    rule = dev.find_only("aws_cloudwatch_event_rule", name="relay-sweep-rule-dev")
    assert rule["schedule_expression"] == "rate(1 hour)"
    target = dev.find_only("aws_cloudwatch_event_target", target_id="relay")
    assert "retries_queue" in target["arn"]
    [sender, _] = dev.policy("aws_sqs_queue", name="relay-retries-queue-dev")
    arn = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/relay-sweep-rule-dev"
    assert sender["Condition"] == {"ArnEquals": {"aws:SourceArn": arn}}


def test_the_relay_can_only_read_delete_publish_and_retry_events(dev: Synthesized) -> None:
    statements = dev.role_statements("relay-policy-dev")
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


def test_the_relay_has_alarms_on_its_stream_its_queues_and_its_errors(dev: Synthesized) -> None:
    alarms = {alarm["alarm_name"]: alarm for alarm in dev.all("aws_cloudwatch_metric_alarm")}
    assert alarms["relay-stream-age-alarm-dev"]["metric_name"] == "IteratorAge"
    assert alarms["relay-stream-age-alarm-dev"]["threshold"] == 60_000
    for name in ("stream-age", "retries-age", "retries-dlq", "errors", "throttles"):
        assert alarms[f"relay-{name}-alarm-dev"]["alarm_actions"], name
