"""Reads the messages in an environment's queues without removing them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.inspection.masking import mask_secrets, parse_json
from ops.terraform.state import outputs
from ops.upkeep.redrive import BATCH

HIDDEN = 10
"""Visibility timeout of received messages in seconds.

The timeout applies only if the command is killed before it makes the messages visible again.
"""
COUNTS = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@dataclass(frozen=True)
class QueueState:
    """The approximate numbers of a queue's messages."""

    queue: str
    """The queue's name in the outputs, such as `profile-events-dlq`."""
    visible: int
    in_flight: int
    """Messages that a consumer has received and not deleted yet."""
    delayed: int


@dataclass(frozen=True)
class Message:
    """A message that was read from a queue."""

    id: str
    sent: int
    """Milliseconds since the epoch."""
    receive_count: int
    """Number of times that the message was received, including this time."""
    body: Any
    """The JSON value without secrets, or the text if it is not JSON."""
    attributes: dict[str, str]


def read_queues(cloud: Cloud, names: Mapping[str, str] | None = None) -> list[QueueState]:
    """Returns the numbers of messages in all queues.

    Args:
        names: The queues' names by key. By default, they are read from the outputs.

    Raises:
        OperatorError: The environment has not been deployed.
    """
    sqs, states = cloud.client("sqs"), []
    for queue, name in sorted((names or outputs(cloud)["queues"]).items()):
        url = _queue_url(sqs, name)
        counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(COUNTS.values()))
        attributes = counts["Attributes"]
        numbers = {key: int(attributes.get(attribute, 0)) for key, attribute in COUNTS.items()}
        states.append(QueueState(queue, **numbers))
    return states


@functools.lru_cache(maxsize=100)
def _queue_url(sqs: Any, name: str) -> str:
    """Returns a queue's URL. Caches it for the console, which reads the queues repeatedly."""
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])


def peek(cloud: Cloud, queue: str, limit: int = BATCH, *, wait: int = 1) -> list[Message]:
    """Returns up to `limit` messages of a queue, oldest first, and leaves them in the queue.

    Receives the messages with a short visibility timeout, and makes them visible again at the end.
    Consumers do not receive them in between. SQS counts each receive, and moves a message to the
    dead-letter queue when the count exceeds the source queue's limit: 20 for `delivery-retries`,
    5 for the others. For a FIFO queue, returns at most the first ten messages of each group.

    Args:
        queue: The queue's name in the outputs, such as `profile-events-dlq`.
        wait: Seconds to wait for messages. With 1 or more, SQS queries all of its servers.

    Raises:
        OperatorError: The environment has no such queue.
    """
    queues: dict[str, str] = outputs(cloud)["queues"]
    if queue not in queues:
        raise OperatorError(
            f"{cloud.environment.name} has no queue {queue}: use one of {', '.join(sorted(queues))}"
        )
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=queues[queue])["QueueUrl"]
    received: list[Any] = []
    try:
        while len(received) < limit:
            response = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(BATCH, limit - len(received)),
                VisibilityTimeout=HIDDEN,
                WaitTimeSeconds=wait,
                AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
            if not response.get("Messages"):
                break
            received += response["Messages"]
    finally:
        for message in received:
            sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
    return sorted(map(_message, received), key=lambda message: message.sent)


def _message(message: Any) -> Message:
    system = message["Attributes"]
    return Message(
        id=message["MessageId"],
        sent=int(system["SentTimestamp"]),
        receive_count=int(system["ApproximateReceiveCount"]),
        body=mask_secrets(parse_json(message["Body"])),
        attributes={
            name: attribute.get("StringValue", "(binary)")
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
    )
