"""Tests the current metrics and alarms that the console's map shows."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from ops.cloud import Cloud
from ops.diagram.graph import Graph, Node
from ops.root import Root
from ops.web_console.live_map import LiveMap
from ops.web_console.map_picture import find_pages
from ops.web_console.source import Source
from tests.ops.clouds import FakeCloud
from tests.ops.web_console.conftest import OUTPUTS

NOW = 1_800_000_000.0
VALUES = {"Invocations": 12.0, "Errors": 2.0, "Duration": 45.5, "ApproximateAgeOfOldestMessage": 90}


class CloudWatch:
    """A fake CloudWatch. It returns VALUES for the resources that have the requested metric."""

    def get_metric_data(self, MetricDataQueries: Any, **_: object) -> Any:  # noqa: N803
        results = []
        for query in MetricDataQueries:
            metric = query["MetricStat"]["Metric"]
            [dimension] = metric["Dimensions"]
            has_value = dimension["Value"] in {"chat-lambda-dev", "relay-retries-dev"}
            values = [VALUES[metric["MetricName"]]] if metric["MetricName"] in VALUES else []
            results.append({"Id": query["Id"], "Values": values if has_value else []})
        return {"MetricDataResults": results}

    def describe_alarms(self, **_: object) -> Any:
        return {"MetricAlarms": [{"AlarmName": "chat-errors-dev", "StateReason": "too many"}]}


class DrawnMap(LiveMap):
    """A map without a picture, because a picture needs a synthesized stack."""

    def _draw(self) -> tuple[float, str, dict[str, str]]:
        return 0.0, "<svg/>", {"chat_function": "functions/chat"}


@pytest.fixture
def live_map(deployed: Cloud, root: Root) -> LiveMap:
    cloud = FakeCloud(deployed.environment, {}, clients={"cloudwatch": CloudWatch()})
    return DrawnMap(Source("dev", root, connect=lambda *_: cloud), clock=lambda: NOW)


def test_the_map_contains_the_metrics_of_functions_and_queues_and_active_alarms(
    live_map: LiveMap,
) -> None:
    sqs = boto3.client("sqs", region_name="us-east-1")
    urls = {
        name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in OUTPUTS["queues"].values()
    }
    sqs.send_message(QueueUrl=urls["relay-retries-dlq-dev"], MessageBody="{}")
    values = live_map.values()
    assert values["functions"] == {"chat": {"requests": 12.0, "errors": 2.0, "milliseconds": 45.5}}
    work, dead = values["queues"]["relay-retries"], values["queues"]["relay-retries-dlq"]
    assert (work["visible"], work["oldest"]) == (0, int((NOW - 90) * 1000))
    assert dead["visible"] == 1
    assert dead["oldest"] > 0
    assert values["alarms"] == [{"name": "chat-errors-dev", "reason": "too many"}]
    assert values["pages"] == {"chat_function": "functions/chat"}


def node(id_: str, kind: str, label: str) -> Node:
    return Node(id_, kind, "kind", label, "group", "service", "box", ())


def test_each_node_opens_the_page_of_its_resource() -> None:
    nodes = (
        node("a", "aws_lambda_function", "chat"),
        node("b", "aws_sqs_queue", "delivery-frames-dlq-dev.fifo"),
        node("c", "aws_sqs_queue", "platform-exports-dlq"),
        node("d", "aws_kms_key", "key"),
    )
    queues = {
        "delivery-frames-dlq": "delivery-frames-dlq-dev.fifo",
        "exports-dlq": "platform-exports-dlq-dev",
    }
    assert find_pages(Graph("dev", nodes, (), {}), queues) == {
        "a": "functions/chat",
        "b": "messages/queues/delivery-frames-dlq",
        "c": "messages/queues/exports-dlq",
    }
