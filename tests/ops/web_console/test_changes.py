"""Tests that changes in the console need a confirmation, and on AWS the option --write."""

from __future__ import annotations

import boto3
import pytest

from ops.cloud import Cloud
from ops.root import Root
from ops.web_console.confirmations import VALID_SECONDS, Confirmations
from ops.web_console.source import Source
from tests.ops.web_console.conftest import OUTPUTS, open_console, retaining

QUEUES = OUTPUTS["queues"]


@pytest.fixture
def dead_letter() -> str:
    """Creates the queues with one dead letter.

    Returns the URL of the queue to which a redrive sends the message.
    """
    sqs = boto3.client("sqs", region_name="us-east-1")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES.values()}
    sqs.send_message(QueueUrl=urls["relay-retries-dlq-dev"], MessageBody='{"eventId": "1"}')
    return urls["relay-retries-dev"]


def count_messages(url: str) -> int:
    sqs = boto3.client("sqs", region_name="us-east-1")
    response = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(response["Attributes"]["ApproximateNumberOfMessages"])


BODY = {"queue": "relay-retries"}


def test_a_redrive_runs_once_after_its_confirmation(
    deployed: Cloud, root: Root, dead_letter: str
) -> None:
    console = open_console(deployed, root, write=True)
    response = console.post("/api/redrive", BODY).json
    assert response["question"] == "Move the messages of relay-retries back to their consumers"
    assert count_messages(dead_letter) == 0
    confirmed_body = {**BODY, "confirmation": response["confirmation"]}
    assert console.post("/api/redrive", confirmed_body).json["result"][0]["redriven"] == 1
    assert count_messages(dead_letter) == 1
    repeated = console.post("/api/redrive", confirmed_body).json
    assert "question" in repeated, "a confirmation must be valid only once"


def test_a_confirmation_is_valid_only_for_its_own_request(
    deployed: Cloud, root: Root, dead_letter: str
) -> None:
    console = open_console(deployed, root, write=True)
    other_confirmation = console.post("/api/redrive", {"queue": "relay-retries-dlq"}).json[
        "confirmation"
    ]
    for confirmation in (other_confirmation, "", "invented"):
        response = console.post("/api/redrive", {**BODY, "confirmation": confirmation})
        assert "question" in response.json
    assert count_messages(dead_letter) == 0


def test_a_confirmation_expires() -> None:
    now = [0.0]
    confirmations = Confirmations(lambda: now[0])
    key = confirmations.issue("redrive", BODY)
    now[0] = VALID_SECONDS
    assert not confirmations.use(key, "redrive", BODY)


@pytest.mark.parametrize("keeps_data", [False, True])
def test_the_local_environment_is_read_only_if_it_keeps_its_data(
    deployed: Cloud, root: Root, monkeypatch: pytest.MonkeyPatch, keeps_data: bool
) -> None:
    monkeypatch.setattr(Source, "embedded", None)  # no platform needs to run
    cloud = retaining(deployed) if keeps_data else deployed
    assert Source("local", root, connect=lambda *_: cloud).may_write is not keeps_data
    assert Source("local", root, write=True, connect=lambda *_: cloud).may_write


@pytest.mark.parametrize("keeps_data", [False, True])
def test_an_environment_on_aws_is_read_only_without_the_write_option(
    deployed: Cloud, root: Root, dead_letter: str, keeps_data: bool
) -> None:
    cloud = retaining(deployed) if keeps_data else deployed
    console = open_console(cloud, root)
    assert console.get("/api/status").json["mayWrite"] is False
    for action in ("redrive", "invoke", "event", "rollback"):
        response = console.post(f"/api/{action}", BODY)
        assert response.status == 502
        assert "--write" in response.json["problem"]
    assert count_messages(dead_letter) == 0
    assert open_console(cloud, root, write=True).get("/api/status").json["mayWrite"] is True
