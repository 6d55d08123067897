from __future__ import annotations

from pathlib import Path

import pytest
from cdktf import TerraformStack

from environments import Environment
from modules.base.event_source import queue_source, stream_source
from modules.base.function import LambdaFunction
from modules.base.naming import Names
from modules.base.queue import Queue
from modules.base.schedule import Schedule
from modules.base.table import Table
from tests.modules.synthesis import Synthesized, function_platform, synthesize


def _queue(stack: TerraformStack, names: Names) -> Queue:
    return Queue(
        stack,
        "retries",
        names=names,
        service="relay",
        resource="retries",
        kms_key_arn="arn:key",
        alerts_topic_arn="arn:alerts",
    )


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    artifacts = tmp_path_factory.mktemp("artifacts")

    def build(stack: TerraformStack, env: Environment, names: Names) -> None:
        queue = _queue(stack, names)
        table = Table("outbox", "outbox", "arn:outbox", [], "arn:stream")
        LambdaFunction(
            stack,
            "relay",
            platform=function_platform(env, artifacts),
            function="relay",
            description="Reads both sources",
            access=[
                stream_source("stream", table, pattern={}, failures=queue),
                queue_source("queue", queue),
            ],
        )

    return synthesize(build)


def test_a_function_gets_the_permissions_of_its_event_sources(dev: Synthesized) -> None:
    assert len(dev.all("aws_lambda_event_source_mapping")) == 2
    statements = {item["Sid"]: item for item in dev.policy("aws_iam_role_policy")}
    assert statements["QueueSource"]["Action"] == [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    ]
    assert statements["StreamSource"]["Resource"] == "arn:stream"
    # Lambda sends the reports of discarded batches with the function's role.
    assert statements["Retries"]["Action"] == "sqs:SendMessage"
    assert statements["QueueKey"]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statements["QueueKey"]["Condition"] == {
        "StringEquals": {"kms:ViaService": "sqs.us-east-1.amazonaws.com"}
    }


def test_a_table_without_a_stream_cannot_be_an_event_source() -> None:
    table = Table("likes", "likes", "arn:likes", [])
    with pytest.raises(ValueError, match="likes has no stream"):
        synthesize(
            lambda stack, _env, names: stream_source(
                "stream", table, pattern={}, failures=_queue(stack, names)
            )
        )


def test_a_scheduled_function_without_failure_alerts_is_rejected(tmp_path: Path) -> None:
    def build(stack: TerraformStack, env: Environment, _names: Names) -> None:
        platform = function_platform(env, tmp_path)
        function = LambdaFunction(
            stack, "relay", platform=platform, function="relay", description="Runs regularly"
        )
        Schedule(
            stack,
            "schedule",
            platform=platform,
            function=function,
            resource="schedule",
            description="Runs it",
            expression="rate(1 day)",
        )

    with pytest.raises(ValueError, match="failure_alerts"):
        synthesize(build)
