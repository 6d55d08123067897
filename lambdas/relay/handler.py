"""The relay function: handles batches of the outbox table's stream and of the retry queue."""

from collections.abc import Mapping
from typing import Any

import msgspec

from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.messaging.consumer import Batch, Consume, QueueConsumer, lazily
from lambdas.common.settings import Settings, read
from lambdas.common.storage.dynamodb import unpack
from lambdas.relay.bus import EventBridgeBus
from lambdas.relay.logic import Relay
from lambdas.relay.outbox import DynamoOutbox, SqsRetries

STREAM = "aws:dynamodb"


class RelaySettings(Settings, frozen=True, kw_only=True):
    dynamodb_table_outbox: str
    event_bus_name: str
    retry_queue_url: str
    sweep_after: int


class RetryMessage(msgspec.Struct, rename="camel"):
    """A message of the retry queue.

    Without an event id, it comes from the schedule or is Lambda's record of a stream batch that
    failed too often. Both trigger a sweep.
    """

    event_id: str | None = None


def build(environ: Mapping[str, str]) -> Consume:
    """Builds the function from its environment variables."""
    settings = read(RelaySettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    relay = Relay(
        DynamoOutbox(clients.dynamodb, settings.dynamodb_table_outbox),
        EventBridgeBus(clients.events, settings.event_bus_name),
        SqsRetries(clients.sqs, settings.retry_queue_url),
        logger,
        sweep_after=settings.sweep_after,
    )

    def retry(body: bytes) -> None:
        message = msgspec.json.decode(body, type=RetryMessage)
        if message.event_id is None:
            relay.sweep()
        else:
            relay.retry(message.event_id)

    retries = QueueConsumer(retry, logger)

    def consume(batch: Batch) -> Any:
        records = batch["Records"]
        if records[0]["eventSource"] != STREAM:
            return retries.consume(batch)
        relay.relay([unpack(record["dynamodb"]["Keys"])["event_id"] for record in records])
        return None

    return consume


handler = lazily(build)
