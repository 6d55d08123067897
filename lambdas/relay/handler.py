"""The relay function: handles batches of the outbox table's stream and of the retry queue."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.messaging.consumer import Batch, Consume, consume_messages, create_handler
from lambdas.common.messaging.events import EventPublisher
from lambdas.common.messaging.outbox import DynamoOutbox
from lambdas.common.messaging.relay import NotPublishedError, Outcome, Relay
from lambdas.common.settings import Settings, read
from lambdas.common.storage.dynamodb import unpack

STREAM = "aws:dynamodb"


class RelaySettings(Settings, frozen=True, kw_only=True):
    dynamodb_table_outbox: str
    event_bus_name: str
    retry_queue_url: str
    sweep_after: int


class RetryMessage(msgspec.Struct, rename="camel"):
    """A message of the retry queue. The event itself stays in the table.

    A message without an event id comes from the schedule, or is Lambda's report of a stream batch
    that failed too often. For both, the function publishes all events that have been stored for
    more than `sweep_after` seconds.
    """

    event_id: str | None = None


def build(environ: Mapping[str, str]) -> Consume:
    settings = read(RelaySettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    relay = Relay(
        DynamoOutbox(
            clients.dynamodb, settings.dynamodb_table_outbox, sweep_after=settings.sweep_after
        ),
        EventPublisher(lambda: clients.events, settings.event_bus_name, logger),
    )

    def queue_failed(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            for event_id in outcome.failed:
                body = msgspec.json.encode(RetryMessage(event_id)).decode()
                clients.sqs.send_message(QueueUrl=settings.retry_queue_url, MessageBody=body)

    def retry(body: bytes) -> None:
        """Publishes the event of one message.

        If the message has no event id, publishes all events that have been stored for more than
        `sweep_after` seconds. Events that fail again are added to the retry queue.

        Raises NotPublishedError if the event of the message was not published. SQS then redelivers
        only this message, and moves it to the dead-letter queue after too many attempts.
        """
        event_id = msgspec.json.decode(body, type=RetryMessage).event_id
        if event_id is None:
            queue_failed(relay.sweep())
        elif any(outcome.failed for outcome in relay.publish([event_id])):
            raise NotPublishedError(event_id)

    def consume(batch: Batch) -> Any:
        records = batch["Records"]
        if records[0]["eventSource"] != STREAM:
            return consume_messages(batch, retry, logger)
        ids = [unpack(record["dynamodb"]["Keys"])["event_id"] for record in records]
        queue_failed(relay.publish(ids))
        return None

    return consume


handler = create_handler(build)
