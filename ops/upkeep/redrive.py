"""Gives messages that ended in a dead-letter queue to their consumers once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.cloud import Cloud
from ops.console import Progress
from ops.errors import InterruptedRunError, OperatorError
from ops.terraform.state import outputs

SUFFIX = "-dlq"
"""A dead-letter queue is called after the queue it belongs to."""
BATCH = 10
"""Messages in one call at most (SQS)."""
WAIT = 1
"""Seconds; a long poll asks all of SQS's servers, so that an empty answer means an empty queue."""
HIDDEN = 60
"""Seconds a message that is being moved is hidden: after an interruption it is back in the dead-letter queue by then."""
TARGET = "TARGET_ARN"
"""The attribute in which EventBridge says where it could not deliver an event."""

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Redriven:
    """What came of one dead-letter queue."""

    queue: str
    redriven: int
    left: int
    """Visible in it afterwards, approximately."""


class Redrive:
    """The dead-letter queues of one environment.

    A message is sent first and deleted then: stopped at any point, it is in one of the two queues or in both, and consumers know a
    repeated event by its id. Messages are moved here rather than by SQS's own StartMessageMoveTask, since an embedded AWS lacks
    that, and since events that a rule could not deliver have no queue to go back to.

    Raises:
        OperatorError: the environment has not been deployed.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._sqs = cloud.client("sqs")
        self._sns = cloud.client("sns")
        self._queues: dict[str, str] = outputs(cloud)["queues"]
        self._environment = cloud.environment.name

    def run(self, queue: str | None = None) -> list[Redriven]:
        """Redrives one dead-letter queue, by its name without the environment, with or without `-dlq`; or all of them.

        Raises:
            OperatorError: there is no such queue, or a message has nowhere to go.
            InterruptedRunError: the operator stopped it.
        """
        known = sorted(name for name in self._queues if name.endswith(SUFFIX))
        wanted = known if queue is None else [f"{queue.removesuffix(SUFFIX)}{SUFFIX}"]
        if not set(wanted) <= set(known):
            names = ", ".join(known)
            raise OperatorError(
                f"{self._environment} has no dead-letter queue {queue}: there are {names}"
            )
        return [self._redrive(name) for name in wanted]

    def _redrive(self, name: str) -> Redriven:
        url = self._url(name)
        deliver = self._deliver_to(name)
        redriven = 0
        with Progress() as progress:
            try:
                for messages in self._received(url):
                    for message in messages:
                        deliver(message)
                        # One by one: so at most one message is in both queues when this is stopped.
                        self._sqs.delete_message(
                            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
                        )
                        redriven += 1
                        progress.show(f"{name}: {redriven} redriven")
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    f"Stopped after {redriven} messages of {name}; run the same command again to continue"
                ) from None
        attribute = "ApproximateNumberOfMessages"
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])[
            "Attributes"
        ]
        return Redriven(name, redriven, int(found[attribute]))

    def _received(self, url: str) -> Iterator[list[Message]]:
        while messages := self._sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=WAIT,
            VisibilityTimeout=HIDDEN,
            MessageAttributeNames=["All"],
        ).get("Messages"):
            yield messages

    def _deliver_to(self, name: str) -> Callable[[Message], None]:
        """How a message of this dead-letter queue gets back to where it failed."""
        source = name.removesuffix(SUFFIX)
        if source not in self._queues:
            return self._deliver_to_target
        url = self._url(source)
        return lambda message: self._send(url, message)

    def _deliver_to_target(self, message: Message) -> None:
        """To the one target that EventBridge could not deliver an event to: the others have had it."""
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
                f"Message {message['MessageId']} says nothing of a queue or topic it was meant for ({TARGET}: {arn or 'missing'}): "
                "replay its event from the archive, then delete it"
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
