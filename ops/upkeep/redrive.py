"""Redrives messages from dead-letter queues to their consumers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.cloud import Cloud
from ops.console import Progress
from ops.errors import InterruptedRunError, OperatorError
from ops.terraform.state import outputs

SUFFIX = "-dlq"
"""A dead-letter queue's name is the name of its source queue with this suffix."""
BATCH = 10
"""Maximum messages per call of SQS."""
TARGET = "TARGET_ARN"
"""The message attribute with the ARN of the target to which EventBridge could not deliver the
event.
"""

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Redriven:
    """The result for one dead-letter queue."""

    queue: str
    redriven: int
    left: int
    """Approximate number of visible messages in the queue after the redrive."""


class Redrive:
    """Redrives messages from the dead-letter queues of one environment.

    A message is sent before it is deleted, so an interruption never loses it. Consumers recognize a
    repeated event by its id. SQS's StartMessageMoveTask is not used because the embedded AWS does
    not support it, and because events that a rule could not deliver have no source queue.

    Args:
        wait: Seconds that each request to SQS waits for messages. Long polling queries all SQS
            servers, so an empty response means an empty queue.
        hidden: Visibility timeout in seconds, after which the messages of an interrupted redrive
            reappear in the dead-letter queue.

    Raises:
        OperatorError: The environment has not been deployed.
    """

    def __init__(self, cloud: Cloud, *, wait: int = 1, hidden: int = 60) -> None:
        self._sqs = cloud.client("sqs")
        self._sns = cloud.client("sns")
        self._queues: dict[str, str] = outputs(cloud)["queues"]
        self._environment = cloud.environment.name
        self._wait, self._hidden = wait, hidden

    def run(self, queue: str | None = None) -> list[Redriven]:
        """Redrives one dead-letter queue, or all of them.

        Args:
            queue: The queue's name without the environment, with or without `-dlq`. None for all.

        Raises:
            OperatorError: The queue does not exist, or a message has no target.
            InterruptedRunError: The operator stopped the command.
        """
        known = sorted(name for name in self._queues if name.endswith(SUFFIX))
        names = known if queue is None else [f"{queue.removesuffix(SUFFIX)}{SUFFIX}"]
        if not set(names) <= set(known):
            raise OperatorError(
                f"{self._environment} has no dead-letter queue {queue}: use one of"
                f" {', '.join(known)}"
            )
        return [self._redrive(name) for name in names]

    def _redrive(self, name: str) -> Redriven:
        url = self._url(name)
        deliver = self._deliver_to(name)
        redriven = 0
        with Progress() as progress:
            try:
                for messages in self._receive(url):
                    for message in messages:
                        deliver(message)
                        # Each message is deleted separately, not in a batch. An interruption can
                        # therefore duplicate at most one message.
                        self._sqs.delete_message(
                            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
                        )
                        redriven += 1
                        progress.show(f"{name}: {redriven} messages redriven")
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    f"Stopped after {redriven} messages of {name}. Run the same command again to"
                    " continue"
                ) from None
        attribute = "ApproximateNumberOfMessages"
        response = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])
        return Redriven(name, redriven, int(response["Attributes"][attribute]))

    def _receive(self, url: str) -> Iterator[list[Message]]:
        while messages := self._sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=self._wait,
            VisibilityTimeout=self._hidden,
            MessageAttributeNames=["All"],
        ).get("Messages"):
            yield messages

    def _deliver_to(self, name: str) -> Callable[[Message], None]:
        """Returns a function that sends a message to its source queue.

        For events that a rule could not deliver, the function sends the event to its target.
        """
        source = name.removesuffix(SUFFIX)
        if source not in self._queues:
            return self._deliver_to_target
        url = self._url(source)
        return lambda message: self._send(url, message)

    def _deliver_to_target(self, message: Message) -> None:
        """Sends an event to the target to which EventBridge failed to deliver it."""
        arn = message.get("MessageAttributes", {}).get(TARGET, {}).get("StringValue", "")
        service, name = (arn.split(":") + [""] * 6)[2], arn.rpartition(":")[2]
        if service == "sns":
            self._sns.publish(TopicArn=arn, Message=message["Body"])
        elif service == "sqs":
            self._send(
                self._sqs.get_queue_url(QueueName=name)["QueueUrl"], {"Body": message["Body"]}
            )
        else:
            raise OperatorError(
                f"The target of message {message['MessageId']} is not a queue or a topic"
                f" ({TARGET}: {arn or 'missing'}): replay the event from the archive, then delete"
                " the message"
            )

    def _send(self, url: str, message: Message) -> None:
        attributes = {
            name: {
                key: value
                for key, value in attribute.items()
                if key in {"DataType", "StringValue", "BinaryValue"}
            }
            for name, attribute in message.get("MessageAttributes", {}).items()
        }
        self._sqs.send_message(
            QueueUrl=url, MessageBody=message["Body"], MessageAttributes=attributes
        )

    def _url(self, name: str) -> str:
        url: str = self._sqs.get_queue_url(QueueName=self._queues[name])["QueueUrl"]
        return url
