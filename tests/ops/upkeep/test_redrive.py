"""Tests redrives of dead-letter queues, on moto."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.cloud import Cloud
from ops.errors import InterruptedRunError, OperatorError
from ops.root import Root
from ops.upkeep.redrive import Redrive, Redriven
from tests.ops.clouds import FakeCloud, store_state

QUEUES = (
    "profile-events",
    "profile-events-dlq",
    "relay-retries",
    "relay-retries-dlq",
    "undelivered-events-dlq",
)


class Queues:
    """The environment's queues."""

    def __init__(self) -> None:
        self.sqs = boto3.client("sqs", region_name="us-east-1")
        self._urls = {
            name: self.sqs.create_queue(QueueName=f"{name}-dev")["QueueUrl"] for name in QUEUES
        }

    def send(self, queue: str, *bodies: str, **attributes: str) -> None:
        for body in bodies:
            self.sqs.send_message(
                QueueUrl=self._urls[queue],
                MessageBody=body,
                MessageAttributes={
                    k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()
                },
            )

    def receive(self, queue: str) -> list[Any]:
        """Returns all messages of a queue. The queue then hides them from other receivers."""
        received: list[Any] = []
        while messages := self.sqs.receive_message(
            QueueUrl=self._urls[queue], MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            received += messages
        return received

    def bodies(self, queue: str) -> list[str]:
        return sorted(message["Body"] for message in self.receive(queue))

    def arn(self, queue: str) -> str:
        return f"arn:aws:sqs:us-east-1:123456789012:{queue}-dev"


@pytest.fixture
def queues(cloud: Cloud) -> Queues:
    store_state(cloud, {"queues": {name: f"{name}-dev" for name in QUEUES}})
    return Queues()


@pytest.fixture
def redrive(queues: Queues, cloud: Cloud) -> Redrive:
    return Redrive(cloud, wait=0)


@pytest.mark.parametrize("name", ["profile-events", "profile-events-dlq"])
def test_messages_are_sent_to_their_source_queue(
    queues: Queues, redrive: Redrive, name: str
) -> None:
    bodies = [f"message {number:02}" for number in range(23)]
    queues.send("profile-events-dlq", *bodies, trace="t-1")
    queues.send("relay-retries-dlq", "another queue's")
    assert redrive.run(name) == [Redriven("profile-events-dlq", 23, 0)]
    received = queues.receive("profile-events")
    assert sorted(message["Body"] for message in received) == bodies
    assert all(
        message["MessageAttributes"]["trace"]["StringValue"] == "t-1" for message in received
    )
    assert not queues.bodies("profile-events-dlq")
    assert queues.bodies("relay-retries-dlq") == ["another queue's"]


def test_without_a_name_every_dead_letter_queue_is_redriven(
    queues: Queues, redrive: Redrive
) -> None:
    queues.send("profile-events-dlq", "a")
    queues.send("relay-retries-dlq", "b", "c")
    assert [(result.queue, result.redriven) for result in redrive.run()] == [
        ("profile-events-dlq", 1),
        ("relay-retries-dlq", 2),
        ("undelivered-events-dlq", 0),
    ]


def test_undelivered_event_is_sent_only_to_its_target(queues: Queues, redrive: Redrive) -> None:
    sns = boto3.client("sns", region_name="us-east-1")
    topic = sns.create_topic(Name="notifications")["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=queues.arn("relay-retries"),
        Attributes={"RawMessageDelivery": "true"},
    )
    queues.send("undelivered-events-dlq", "for the queue", TARGET_ARN=queues.arn("profile-events"))
    queues.send("undelivered-events-dlq", "for the topic", TARGET_ARN=topic)
    assert redrive.run("undelivered-events") == [Redriven("undelivered-events-dlq", 2, 0)]
    assert queues.bodies("profile-events") == ["for the queue"]
    assert queues.bodies("relay-retries") == ["for the topic"]


def test_event_without_a_target_stays_in_the_queue(queues: Queues, redrive: Redrive) -> None:
    queues.send("undelivered-events-dlq", "lost")
    with pytest.raises(OperatorError, match=r"TARGET_ARN: missing.*archive"):
        redrive.run("undelivered-events-dlq")
    assert not queues.bodies("profile-events")


def test_unknown_queue_is_rejected_with_the_known_names(queues: Queues, redrive: Redrive) -> None:
    with pytest.raises(
        OperatorError,
        match="dev has no dead-letter queue nothing: use one of profile-events-dlq, relay",
    ):
        redrive.run("nothing")


class InterruptedSqs:
    """An SQS client that raises KeyboardInterrupt when the third message is sent."""

    def __init__(self, sqs: Any) -> None:
        self._sqs, self._sent = sqs, 0

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._sqs, operation)

    def send_message(self, **arguments: Any) -> Any:
        if self._sent == 2:
            raise KeyboardInterrupt
        self._sent += 1
        return self._sqs.send_message(**arguments)


def test_interrupted_redrive_loses_no_message(
    queues: Queues, redrive: Redrive, cloud: Cloud
) -> None:
    queues.send("profile-events-dlq", *[f"message {number}" for number in range(5)])
    interrupted = FakeCloud(cloud.environment, {}, clients={"sqs": InterruptedSqs(queues.sqs)})
    with pytest.raises(
        InterruptedRunError,
        match="after 2 messages of profile-events-dlq. Run the same command again",
    ):
        Redrive(interrupted, wait=0, hidden=0).run("profile-events")
    assert redrive.run("profile-events")[0].redriven == 3
    assert queues.bodies("profile-events") == [f"message {number}" for number in range(5)]


def test_command_prints_the_number_of_messages(
    queues: Queues, dev_variables: None, root: Root
) -> None:
    queues.send("profile-events-dlq", "a", "b")
    command = ["redrive", "dev", "profile-events", "--root", str(root.path)]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stdout.split()) == (
        0,
        ["profile-events-dlq", "2", "redriven,", "0", "left"],
    )
    result = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(result.stdout) == [{"queue": "profile-events-dlq", "redriven": 0, "left": 0}]
