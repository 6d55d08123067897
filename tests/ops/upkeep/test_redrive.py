"""ops redrive, on an AWS in the process."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands import events
from ops.errors import InterruptedRunError, OperatorError
from ops.upkeep import redrive
from ops.upkeep.redrive import Redrive, Redriven

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

    def put(self, queue: str, *bodies: str, **attributes: str) -> None:
        for body in bodies:
            self.sqs.send_message(
                QueueUrl=self._urls[queue],
                MessageBody=body,
                MessageAttributes={
                    k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()
                },
            )

    def take(self, queue: str) -> list[Any]:
        """All messages of a queue; they stay hidden from then on."""
        found: list[Any] = []
        while messages := self.sqs.receive_message(
            QueueUrl=self._urls[queue], MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            found += messages
        return found

    def bodies(self, queue: str) -> list[str]:
        return sorted(message["Body"] for message in self.take(queue))

    def arn(self, queue: str) -> str:
        return f"arn:aws:sqs:us-east-1:123456789012:{queue}-dev"


@pytest.fixture
def queues(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Queues:
    monkeypatch.setattr(
        redrive, "outputs", lambda _: {"queues": {name: f"{name}-dev" for name in QUEUES}}
    )
    monkeypatch.setattr(redrive, "WAIT", 0)
    return Queues()


@pytest.mark.parametrize("name", ["profile-events", "profile-events-dlq"])
def test_messages_go_back_to_their_queue(queues: Queues, cloud: Cloud, name: str) -> None:
    bodies = [f"message {number:02}" for number in range(23)]
    queues.put("profile-events-dlq", *bodies, trace="t-1")
    queues.put("relay-retries-dlq", "another queue's")
    assert Redrive(cloud).run(name) == [Redriven("profile-events-dlq", 23, 0)]
    found = queues.take("profile-events")
    assert sorted(message["Body"] for message in found) == bodies
    assert all(message["MessageAttributes"]["trace"]["StringValue"] == "t-1" for message in found)
    assert not queues.bodies("profile-events-dlq")
    assert queues.bodies("relay-retries-dlq") == ["another queue's"]


def test_without_a_name_every_dead_letter_queue_is_redriven(queues: Queues, cloud: Cloud) -> None:
    queues.put("profile-events-dlq", "a")
    queues.put("relay-retries-dlq", "b", "c")
    assert [(result.queue, result.redriven) for result in Redrive(cloud).run()] == [
        ("profile-events-dlq", 1),
        ("relay-retries-dlq", 2),
        ("undelivered-events-dlq", 0),
    ]


def test_an_event_that_was_not_delivered_goes_to_the_target_that_missed_it(
    queues: Queues, cloud: Cloud
) -> None:
    sns = boto3.client("sns", region_name="us-east-1")
    topic = sns.create_topic(Name="notifications")["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=queues.arn("relay-retries"),
        Attributes={"RawMessageDelivery": "true"},
    )
    queues.put("undelivered-events-dlq", "for the queue", TARGET_ARN=queues.arn("profile-events"))
    queues.put("undelivered-events-dlq", "for the topic", TARGET_ARN=topic)
    assert Redrive(cloud).run("undelivered-events") == [Redriven("undelivered-events-dlq", 2, 0)]
    assert queues.bodies("profile-events") == ["for the queue"]
    assert queues.bodies("relay-retries") == ["for the topic"]


def test_an_event_that_names_no_target_stays(queues: Queues, cloud: Cloud) -> None:
    queues.put("undelivered-events-dlq", "lost")
    with pytest.raises(OperatorError, match=r"TARGET_ARN: missing.*archive"):
        Redrive(cloud).run("undelivered-events-dlq")
    assert not queues.bodies("profile-events")


def test_an_unknown_queue_is_told_with_those_there_are(queues: Queues, cloud: Cloud) -> None:
    with pytest.raises(
        OperatorError,
        match="dev has no dead-letter queue nothing: there are profile-events-dlq, relay",
    ):
        Redrive(cloud).run("nothing")


def test_stopped_halfway_nothing_is_lost(
    queues: Queues, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "HIDDEN", 0)
    queues.put("profile-events-dlq", *[f"message {number}" for number in range(5)])
    run = Redrive(cloud)
    send = run._sqs.send_message
    sent: list[Any] = []

    def stop_at_the_third(**arguments: Any) -> Any:
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(arguments)
        return send(**arguments)

    monkeypatch.setattr(run._sqs, "send_message", stop_at_the_third)
    with pytest.raises(
        InterruptedRunError,
        match="after 2 messages of profile-events-dlq. Run the same command again",
    ):
        run.run("profile-events")
    monkeypatch.undo()
    monkeypatch.setattr(
        redrive, "outputs", lambda _: {"queues": {name: f"{name}-dev" for name in QUEUES}}
    )
    assert Redrive(cloud).run("profile-events")[0].redriven == 3
    assert queues.bodies("profile-events") == [f"message {number}" for number in range(5)]


def test_the_command_says_how_many(
    queues: Queues, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "connect", lambda _name, _root: cloud)
    queues.put("profile-events-dlq", "a", "b")
    result = CliRunner().invoke(app, ["redrive", "dev", "profile-events"])
    assert (result.exit_code, result.stdout.split()) == (
        0,
        ["profile-events-dlq", "2", "redriven,", "0", "left"],
    )
    result = CliRunner().invoke(app, ["redrive", "dev", "profile-events", "--json"])
    assert json.loads(result.stdout) == [{"queue": "profile-events-dlq", "redriven": 0, "left": 0}]
