"""The delivery function: takes the ordered queue's frames, the messages' stream, and what has waited in the retry queue.

Behind the same stream and queue it clears up after deleted rooms.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from lambdas.common.clients import Clients
from lambdas.common.live.chat_messages import Message
from lambdas.common.live.fanout import ApiGateway, Delivery, Fanout, Gateway
from lambdas.common.live.listeners import CachedLiveRooms
from lambdas.common.logs import Logger, create_logger
from lambdas.common.messaging.consumer import Batch, Consume, QueueConsumer, lazily
from lambdas.common.settings import Settings, read
from lambdas.common.storage.cache import CacheSettings, GuardedCache, guarded_cache
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.delivery.logic import DeliveryService, Stored
from lambdas.delivery.removal import Rest, RoomRemoval, StoredRemains

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

STREAM = "aws:dynamodb"
FIFO = ".fifo"


class DeliverySettings(Settings, frozen=True, kw_only=True):
    dynamodb_table_messages: str
    dynamodb_table_members: str
    dynamodb_table_authors: str
    s3_bucket_attachments: str
    websocket_api_endpoint: str
    delivery_retries_queue_url: str


class Waiting(Struct, frozen=True, rename="camel"):
    """A message of the retry queue: stored messages, a member to be taken out of a room, or what is left of a deleted room.

    Lambda's own record of a batch of the stream that failed too often has neither: it waits in the dead-letter queue for somebody to
    look.
    """

    stored: tuple[Stored, ...] = ()
    room_id: str | None = None
    user_id: str | None = None
    rest: Rest | None = None


class SqsLater:
    """The retry queue, which gives nothing before its delay is over."""

    def __init__(self, sqs: "Callable[[], SQSClient]", url: str) -> None:
        """`sqs` gives the client at the first use."""
        self._sqs = sqs
        self._url = url

    def check(self, stored: Sequence[Stored]) -> None:
        self._send(Waiting(stored=tuple(stored)))

    def remove(self, rest: Rest) -> None:
        """What is left of a deleted room comes again. Raises whatever keeps it from being taken."""
        self._send(Waiting(rest=rest))

    def _send(self, waiting: Waiting) -> None:
        self._sqs().send_message(
            QueueUrl=self._url, MessageBody=msgspec.json.encode(waiting).decode()
        )


def build(environ: Mapping[str, str]) -> Consume:
    """The function, wired from its environment."""
    settings = read(DeliverySettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    gateway = ApiGateway(clients.session, settings.websocket_api_endpoint, logger)
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
    """The function on these clients, this cache and these connections."""
    live = CachedLiveRooms(cache)
    later = SqsLater(lambda: clients.sqs, settings.delivery_retries_queue_url)
    service = DeliveryService(
        fanout=Fanout(gateway, live, logger),
        live=live,
        later=later,
        find=lambda message_id: _find(
            clients.dynamodb, settings.dynamodb_table_messages, message_id
        ),
        logger=logger,
    )

    remains = StoredRemains(
        clients.dynamodb,
        lambda: clients.s3,
        messages=settings.dynamodb_table_messages,
        members=settings.dynamodb_table_members,
        authors=settings.dynamodb_table_authors,
        attachments=settings.s3_bucket_attachments,
    )
    removal = RoomRemoval(remains, later.remove)

    def retry(clearing: Iterator[Callable[[Rest], None]], body: bytes) -> None:
        waiting = msgspec.json.decode(body, type=Waiting)
        if waiting.stored:
            service.make_good(waiting.stored)
        elif waiting.room_id is not None and waiting.user_id is not None:
            service.evict(waiting.room_id, waiting.user_id)
        elif waiting.rest is not None:
            next(clearing)(waiting.rest)
        else:
            raise RuntimeError("a batch of the stream was given up")

    def make_up(records: Sequence[Mapping[str, Any]]) -> Any:
        """Messages first. Then one rest of a room, since ten would outlast the function; the other rests come again."""
        clearing = chain([removal.go_on], repeat(later.remove))
        retries = QueueConsumer(partial(retry, clearing), logger)
        return retries.consume({"Records": sorted(records, key=_is_rest)})

    def consume(batch: Batch) -> Any:
        records = batch["Records"]
        if records[0]["eventSource"] == STREAM:
            service.watch(_stored(records))
            for rest in _rests(records):
                later.remove(rest)
            return None
        if records[0]["eventSourceARN"].endswith(FIFO):
            service.deliver(
                [msgspec.json.decode(record["body"], type=Delivery) for record in records]
            )
            return {"batchItemFailures": []}
        return make_up(records)

    return consume


def _stored(records: Sequence[Mapping[str, Any]]) -> Iterator[Stored]:
    """The states of messages that a batch of the stream tells of: not what lies beside messages, and no removals."""
    for record in records:
        new, old = (record["dynamodb"].get(image) or {} for image in ("NewImage", "OldImage"))
        if "room_id" in new and new.get("version") != old.get("version"):
            values = unpack({name: new[name] for name in ("message_id", "version")})
            yield Stored(values["message_id"], values["version"])


def _rests(records: Sequence[Mapping[str, Any]]) -> Iterator[Rest]:
    """The rooms whose deletion a batch of the stream tells of."""
    for record in records:
        item = unpack(record["dynamodb"].get("NewImage") or {})
        if "removed_room" in item:
            yield Rest(item["removed_room"], item["seq"], item["removed_at"])


def _is_rest(record: Mapping[str, Any]) -> bool:
    # As msgspec writes it: a body that cannot be read is to fail by itself, not here.
    return '"rest":{' in record["body"]


def _find(dynamodb: "DynamoDBClient", table: str, message_id: str) -> Message | None:
    item = dynamodb.get_item(
        TableName=table, Key=pack({"message_id": message_id}), ConsistentRead=True
    ).get("Item")
    return Message.of(item) if item else None


handler = lazily(build)
