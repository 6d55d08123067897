"""Tests how the messages of queues are read, on moto."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.inspection.queues import QueueState, peek, read_queues
from tests.ops.clouds import store_state


@pytest.fixture
def url(cloud: Cloud) -> str:
    """Creates a queue of the environment, and returns its URL."""
    sqs = boto3.client("sqs", region_name="us-east-1")
    store_state(cloud, {"queues": {"profile-events-dlq": "profile-events-dlq-dev"}})
    return sqs.create_queue(QueueName="profile-events-dlq-dev")["QueueUrl"]


def send(url: str, body: str, **attributes: Any) -> None:
    boto3.client("sqs", region_name="us-east-1").send_message(
        QueueUrl=url, MessageBody=body, MessageAttributes=attributes
    )


def test_peeked_messages_stay_visible(cloud: Cloud, url: str) -> None:
    send(url, '{"detail": {"eventId": "e"}}', RULE={"DataType": "String", "StringValue": "r"})
    send(url, "text")
    first, second = peek(cloud, "profile-events-dlq", wait=0)
    assert (first.body, first.attributes) == ({"detail": {"eventId": "e"}}, {"RULE": "r"})
    assert (second.body, second.receive_count > 0) == ("text", True)
    assert first.sent <= second.sent
    assert read_queues(cloud) == [QueueState("profile-events-dlq", 2, 0, 0)]
    assert len(peek(cloud, "profile-events-dlq", wait=0)) == 2


def test_each_peek_counts_as_a_receive(cloud: Cloud, url: str) -> None:
    send(url, "text")
    [before] = peek(cloud, "profile-events-dlq", wait=0)
    [after] = peek(cloud, "profile-events-dlq", wait=0)
    assert after.receive_count > before.receive_count


def test_a_peek_reads_more_messages_than_one_receive_returns(cloud: Cloud, url: str) -> None:
    for number in range(25):
        send(url, str(number))
    assert len({message.id for message in peek(cloud, "profile-events-dlq", 20, wait=0)}) == 20
    assert len(peek(cloud, "profile-events-dlq", 100, wait=0)) == 25


def test_secrets_in_messages_are_masked(cloud: Cloud, url: str) -> None:
    send(url, '{"accessToken": "abc", "upload": {"url": "https://x/?X-Amz-Signature=abc&b=1"}}')
    [message] = peek(cloud, "profile-events-dlq", wait=0)
    assert "abc" not in json.dumps(message.body)
    assert message.body["upload"]["url"] == "https://x/?X-Amz-Signature=***&b=1"


def test_an_unknown_queue_is_rejected(cloud: Cloud, url: str) -> None:
    with pytest.raises(OperatorError, match="dev has no queue mail: use one of profile-events-dlq"):
        peek(cloud, "mail", wait=0)


def test_the_commands_print_text_and_json(cloud: Cloud, url: str, dev_variables: None) -> None:
    send(url, '{"a": 1}')
    run = CliRunner().invoke
    assert "profile-events-dlq            1 visible" in run(app, ["queue", "list", "dev"]).stdout
    text = run(app, ["queue", "peek", "dev", "profile-events-dlq"]).stdout
    assert '  {"a": 1}\n' in text
    output = run(app, ["queue", "peek", "dev", "profile-events-dlq", "--json"]).stdout
    assert json.loads(output)[0]["body"] == {"a": 1}
