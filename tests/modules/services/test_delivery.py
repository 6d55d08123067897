"""Tests the delivery function's event sources and permissions.

Also tests the chat function's permissions on the delivery queues.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambdas.common.settings import read
from lambdas.common.storage.cache import CacheSettings
from lambdas.delivery.handler import DeliverySettings
from tests.modules.service_stacks import CACHE, function_name, synthesize_services
from tests.modules.synthesis import Synthesized, environment


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("dev"), tmp_path_factory.mktemp("dev"))


def event_source(dev: Synthesized, arn: str) -> dict[str, Any]:
    [mapping] = [
        item
        for item in dev.all("aws_lambda_event_source_mapping")
        if arn in item["event_source_arn"]
    ]
    assert function_name(dev, mapping["function_name"]) == "delivery-lambda-dev"
    return mapping


def statements(dev: Synthesized, function: str) -> dict[str, Any]:
    return dev.role_statements(f"{function}-policy-dev")


def test_the_stream_delivers_only_messages_and_deleted_rooms(dev: Synthesized) -> None:
    mapping = event_source(dev, "table/chat-messages-dev/stream")
    [pattern] = [json.loads(item["pattern"]) for item in mapping["filter_criteria"]["filter"]]
    assert pattern["eventName"] == ["INSERT", "MODIFY"]
    assert pattern["dynamodb"] == {"NewImage": {"seq": {"N": [{"exists": True}]}}}
    assert "retries_queue" in mapping["destination_config"]["on_failure"]["destination_arn"]


def test_frames_use_a_fifo_queue_and_retries_use_a_delayed_queue(dev: Synthesized) -> None:
    frames = dev.find_only("aws_sqs_queue", name="delivery-frames-queue-dev.fifo")
    assert frames["fifo_queue"] is True
    assert event_source(dev, "frames_queue")["batch_size"] == 10
    retries = dev.find_only("aws_sqs_queue", name="delivery-retries-queue-dev")
    assert retries["delay_seconds"] == 10
    event_source(dev, "retries_queue")
    timeout = dev.find_only("aws_lambda_function", function_name="delivery-lambda-dev")["timeout"]
    for queue, dead_letters in (
        (frames, "delivery-frames-dlq-dev.fifo"),
        (retries, "delivery-retries-dlq-dev"),
    ):
        assert queue["kms_master_key_id"] == "arn:aws:kms:key"
        assert queue["visibility_timeout_seconds"] >= timeout
        assert dead_letters in queue["redrive_policy"]
        assert dev.find_only("aws_sqs_queue", name=dead_letters)


def test_the_delivery_function_has_only_the_permissions_that_it_needs(dev: Synthesized) -> None:
    allowed = statements(dev, "delivery")
    assert set(allowed) == {
        "Messages", "BesideMessages", "Members", "Authors", "Sessions", "Profiles", "Attachments",
        "AttachmentsOfRoom", "Connections", "Retries", "StreamSource", "QueueSource", "QueueKey",
        "Cache", "Logs", "Traces", "NetworkInterfaces",
    }  # fmt: skip
    reading = [action for action in allowed["Messages"]["Action"] if "Get" in action]
    assert reading == ["dynamodb:GetItem", "dynamodb:BatchGetItem"]
    assert allowed["Retries"]["Action"] == "sqs:SendMessage"
    for table in ("Sessions", "Profiles"):
        assert allowed[table]["Action"] == "dynamodb:BatchGetItem"
    own = (
        r"arn:aws:execute-api:us-east-1:111122223333:"
        r"\$\{aws_apigatewayv2_api\.\w+\.id\}/dev/(POST|DELETE)/@connections/\*"
    )
    assert allowed["Connections"]["Action"] == "execute-api:ManageConnections"
    for resource in allowed["Connections"]["Resource"]:
        assert re.fullmatch(own, resource)


def test_the_delivery_function_connects_to_the_cache_with_tls_and_iam(dev: Synthesized) -> None:
    function = dev.find_only("aws_lambda_function", function_name="delivery-lambda-dev")
    variables = function["environment"]["variables"]
    read(DeliverySettings, variables)
    assert read(CacheSettings, variables).elasticache_tls is True
    assert variables["ELASTICACHE_USERNAME"] == "chat-cache-user"
    assert statements(dev, "delivery")["Cache"]["Action"] == "elasticache:Connect"
    assert set(statements(dev, "delivery")["Cache"]["Resource"]) == {
        f"{CACHE}:replicationgroup:chat-cache",
        f"{CACHE}:user:chat-cache-user",
    }
    assert function["vpc_config"]["security_group_ids"]


def test_chat_can_send_to_both_queues_but_not_receive(dev: Synthesized) -> None:
    allowed = statements(dev, "chat")
    assert allowed["Delivery"]["Action"] == "sqs:SendMessage"
    assert len(allowed["Delivery"]["Resource"]) == 2
    assert not [
        action for item in allowed.values() for action in item["Action"] if "Receive" in action
    ]


def test_the_delivery_function_can_delete_the_data_of_deleted_rooms(dev: Synthesized) -> None:
    allowed = statements(dev, "delivery")
    assert allowed["Attachments"]["Action"] == "s3:DeleteObject"
    assert allowed["Attachments"]["Resource"].endswith("/chat/*")
    assert allowed["AttachmentsOfRoom"]["Condition"] == {"StringLike": {"s3:prefix": "chat/*"}}
    assert "table/chat-messages-dev/index/" in allowed["BesideMessages"]["Resource"]
    assert {"dynamodb:Query", "dynamodb:BatchWriteItem"} < set(allowed["Members"]["Action"])
    assert allowed["Authors"]["Action"] == "dynamodb:BatchWriteItem"


def test_the_delivery_function_has_no_reserved_concurrency(dev: Synthesized) -> None:
    assert "reserved_concurrent_executions" not in dev.find_only(
        "aws_lambda_function", function_name="delivery-lambda-dev"
    )
