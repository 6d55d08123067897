"""The delivery function: handles the FIFO queue, the messages table's stream and the retry queue.

The stream and the retry queue also trigger the removal of deleted rooms' data.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from lambdas.common.clients import Clients
from lambdas.common.live.audience import AudienceReader
from lambdas.common.live.chat_messages import Message
from lambdas.common.live.fanout import ApiGateway, Delivery, Departure, Fanout, Gateway
from lambdas.common.live.listeners import LiveRooms
from lambdas.common.logs import Logger, create_logger
from lambdas.common.messaging.consumer import Batch, Consume, consume_messages, create_handler
from lambdas.common.people.profiles import ProfileReader
from lambdas.common.settings import Settings, read
from lambdas.common.storage.cache import CacheSettings, GuardedCache, guarded_cache
from lambdas.common.storage.dynamodb import Table, unpack
from lambdas.delivery.logic import DeliveryService, StoredVersion
from lambdas.delivery.removal import PendingRemoval, RoomData, RoomRemoval

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

STREAM = "aws:dynamodb"
FIFO = ".fifo"


class DeliverySettings(Settings, frozen=True, kw_only=True):
    dynamodb_table_messages: str
    dynamodb_table_members: str
    dynamodb_table_sessions: str
    dynamodb_table_authors: str
    dynamodb_table_profiles: str
    s3_bucket_attachments: str
    websocket_api_endpoint: str
    aws_ca_bundle: str | None = None
    delivery_retries_queue_url: str
    room_parts: int = 1


class RetryMessage(Struct, frozen=True, rename="camel"):
    """A message of the retry queue. It has one of these three requests:

    - `stored`: check whether these versions of messages were delivered.
    - `room_id`: remove the connections of `user_id` from this room. None means all users.
    - `rest`: continue to remove the data of this deleted room.

    Lambda also sends a report of each stream batch that failed too often, without these fields. The
    report ends up in the dead-letter queue, for an operator.
    """

    stored: tuple[StoredVersion, ...] = ()
    room_id: str | None = None
    user_id: str | None = None
    reason: Departure = "removed"
    rest: PendingRemoval | None = None


class SqsRetryQueue:
    """The delivery function's retry queue, which delivers messages after a delay."""

    def __init__(self, sqs: "Callable[[], SQSClient]", url: str) -> None:
        """`sqs` returns the SQS client, and is called when the first message is sent."""
        self._sqs = sqs
        self._url = url

    def check_later(self, stored: Sequence[StoredVersion]) -> None:
        self._send(RetryMessage(stored=tuple(stored)))

    def continue_removal(self, rest: PendingRemoval) -> None:
        """Queues the removal of a deleted room's remaining data. Propagates errors of SQS."""
        self._send(RetryMessage(rest=rest))

    def _send(self, message: RetryMessage) -> None:
        self._sqs().send_message(
            QueueUrl=self._url, MessageBody=msgspec.json.encode(message).decode()
        )


def build(environ: Mapping[str, str]) -> Consume:
    settings = read(DeliverySettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    gateway = ApiGateway(
        clients.session, settings.websocket_api_endpoint, logger, settings.aws_ca_bundle
    )
    return wire(
        settings,
        clients,
        guarded_cache(read(CacheSettings, environ), clients.session),
        gateway,
        logger,
    )


def wire(
    settings: DeliverySettings,
    clients: Clients,
    cache: GuardedCache,
    gateway: Gateway,
    logger: Logger,
) -> Consume:
    live = LiveRooms(cache)
    retry_queue = SqsRetryQueue(lambda: clients.sqs, settings.delivery_retries_queue_url)
    messages = Table(clients.dynamodb, settings.dynamodb_table_messages)
    audience = AudienceReader(
        Table(clients.dynamodb, settings.dynamodb_table_sessions),
        Table(clients.dynamodb, settings.dynamodb_table_members),
    )

    def find(message_id: str) -> Message | None:
        item = messages.get({"message_id": message_id})
        return msgspec.convert(item, Message) if item else None

    service = DeliveryService(
        fanout=Fanout(gateway, live, audience, logger),
        live=live,
        check_later=retry_queue.check_later,
        find=find,
        profiles=ProfileReader(clients.dynamodb, settings.dynamodb_table_profiles),
        logger=logger,
        parts=settings.room_parts,
    )

    data = RoomData(
        clients.dynamodb,
        lambda: clients.s3,
        messages=settings.dynamodb_table_messages,
        members=settings.dynamodb_table_members,
        authors=settings.dynamodb_table_authors,
        attachments=settings.s3_bucket_attachments,
    )
    removal = RoomRemoval(data, retry_queue.continue_removal)

    def retry(removals: Iterator[Callable[[PendingRemoval], None]], body: bytes) -> None:
        message = msgspec.json.decode(body, type=RetryMessage)
        if message.stored:
            service.redeliver_lost(message.stored)
        elif message.room_id is not None:
            service.evict(message.room_id, message.reason, message.user_id)
        elif message.rest is not None:
            next(removals)(message.rest)
        else:
            raise RuntimeError("a batch of the stream failed too often: see the dead-letter queue")

    def retry_all(records: Sequence[Mapping[str, Any]]) -> Any:
        """Handles a batch of the retry queue: first the checks and evictions, then one removal.

        Queues the other removals again, because a batch has up to ten messages, and ten removals
        would exceed the timeout.
        """
        removals = chain([removal.run_pass], repeat(retry_queue.continue_removal))
        batch = {"Records": sorted(records, key=_is_removal)}
        return consume_messages(batch, partial(retry, removals), logger)

    def consume(batch: Batch) -> Any:
        records = batch["Records"]
        if records[0]["eventSource"] == STREAM:
            service.schedule_checks(_stored(records))
            for pending in _removals(records):
                retry_queue.continue_removal(pending)
            return None
        if records[0]["eventSourceARN"].endswith(FIFO):
            service.deliver(
                [msgspec.json.decode(record["body"], type=Delivery) for record in records]
            )
            return {"batchItemFailures": []}
        return retry_all(records)

    return consume


def _stored(records: Sequence[Mapping[str, Any]]) -> Iterator[StoredVersion]:
    """Yields the stored versions of messages in a stream batch. Skips other items and deletions."""
    for record in records:
        new, old = (record["dynamodb"].get(image) or {} for image in ("NewImage", "OldImage"))
        if "room_id" in new and new.get("version") != old.get("version"):
            values = unpack({name: new[name] for name in ("message_id", "version")})
            yield StoredVersion(values["message_id"], values["version"])


def _removals(records: Sequence[Mapping[str, Any]]) -> Iterator[PendingRemoval]:
    """Yields the deleted rooms that a stream batch reports."""
    for record in records:
        item = unpack(record["dynamodb"].get("NewImage") or {})
        if "removed_room" in item:
            yield PendingRemoval(item["removed_room"], item["seq"], item["removed_at"])


def _is_removal(record: Mapping[str, Any]) -> bool:
    # Searches the message's text and does not parse it as JSON: a malformed message would raise an
    # exception here, and the whole batch would fail.
    return '"rest":{' in record["body"]


handler = create_handler(build)
