"""Delivery of chat frames: what feeds its function, what it and chat may do, and who hears when it fails."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambdas.common.settings import read
from lambdas.common.storage.cache import CacheSettings
from lambdas.delivery.handler import DeliverySettings
from tests.modules.service_stacks import CACHE, function_behind, synthesize_services
from tests.modules.synthesis import Synthesized, environment


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("dev"), tmp_path_factory.mktemp("dev"))


def source(dev: Synthesized, arn: str) -> dict[str, Any]:
    [found] = [
        item
        for item in dev.all("aws_lambda_event_source_mapping")
        if arn in item["event_source_arn"]
    ]
    assert function_behind(dev, found["function_name"]) == "delivery-lambda-dev"
    return found


def statements(dev: Synthesized, function: str) -> dict[str, Any]:
    return {
        item["Sid"]: item
        for item in dev.policy("aws_iam_role_policy", name=f"{function}-policy-dev")
    }


def test_it_hears_of_every_message_and_deleted_room_and_of_nothing_beside_them(
    dev: Synthesized,
) -> None:
    found = source(dev, "table/chat-messages-dev/stream")
    [pattern] = [json.loads(item["pattern"]) for item in found["filter_criteria"]["filter"]]
    assert pattern["eventName"] == ["INSERT", "MODIFY"]
    assert pattern["dynamodb"] == {"NewImage": {"seq": {"N": [{"exists": True}]}}}
    assert "retries_queue" in found["destination_config"]["on_failure"]["destination_arn"]


def test_frames_of_a_room_stay_in_order_and_lost_ones_wait_before_they_are_made_good(
    dev: Synthesized,
) -> None:
    frames = dev.one("aws_sqs_queue", name="delivery-frames-queue-dev.fifo")
    assert frames["fifo_queue"] is True
    assert source(dev, "frames_queue")["batch_size"] == 10
    retries = dev.one("aws_sqs_queue", name="delivery-retries-queue-dev")
    assert retries["delay_seconds"] == 10
    source(dev, "retries_queue")
    timeout = dev.one("aws_lambda_function", function_name="delivery-lambda-dev")["timeout"]
    for queue, dead_letters in (
        (frames, "delivery-frames-dlq-dev.fifo"),
        (retries, "delivery-retries-dlq-dev"),
    ):
        assert queue["kms_master_key_id"] == "arn:aws:kms:key"
        assert queue["visibility_timeout_seconds"] >= timeout
        assert dead_letters in queue["redrive_policy"]
        assert dev.one("aws_sqs_queue", name=dead_letters)


def test_it_reads_messages_posts_to_connections_of_its_own_stage_and_no_more(
    dev: Synthesized,
) -> None:
    found = statements(dev, "delivery")
    assert set(found) == {
        "Messages", "BesideMessages", "Members", "Authors", "Attachments", "AttachmentsOfRoom", "Connections", "Retries",
        "StreamSource", "QueueSource", "QueueKey", "Cache", "Logs", "Traces", "NetworkInterfaces",
    }  # fmt: skip
    reading = [action for action in found["Messages"]["Action"] if "Get" in action]
    assert reading == ["dynamodb:GetItem", "dynamodb:BatchGetItem"]
    assert found["Retries"]["Action"] == "sqs:SendMessage"
    own = r"arn:aws:execute-api:us-east-1:111122223333:\$\{aws_apigatewayv2_api\.\w+\.id\}/dev/POST/@connections/\*"
    assert found["Connections"]["Action"] == "execute-api:ManageConnections"
    assert re.fullmatch(own, found["Connections"]["Resource"])


def test_it_reaches_the_cache_by_tls_and_iam(dev: Synthesized) -> None:
    function = dev.one("aws_lambda_function", function_name="delivery-lambda-dev")
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


def test_chat_hands_over_and_takes_nothing_back(dev: Synthesized) -> None:
    found = statements(dev, "chat")
    assert found["Delivery"]["Action"] == "sqs:SendMessage"
    assert len(found["Delivery"]["Resource"]) == 2
    assert not [
        action for item in found.values() for action in item["Action"] if "Receive" in action
    ]


def test_it_removes_what_belonged_to_deleted_rooms_and_no_more(dev: Synthesized) -> None:
    found = statements(dev, "delivery")
    assert found["Attachments"]["Action"] == "s3:DeleteObject"
    assert found["Attachments"]["Resource"].endswith("/chat/*")
    assert found["AttachmentsOfRoom"]["Condition"] == {"StringLike": {"s3:prefix": "chat/*"}}
    assert "table/chat-messages-dev/index/" in found["BesideMessages"]["Resource"]
    assert found["Members"]["Action"] == ["dynamodb:Query", "dynamodb:BatchWriteItem"]
    assert found["Authors"]["Action"] == "dynamodb:BatchWriteItem"


def test_it_is_never_throttled(dev: Synthesized) -> None:
    assert "reserved_concurrent_executions" not in dev.one(
        "aws_lambda_function", function_name="delivery-lambda-dev"
    )
