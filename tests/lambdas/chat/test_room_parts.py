"""Tests that a large room's connections are split into parts that receive frames independently."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest
import redis
from botocore.exceptions import ClientError

from lambdas.common.live.fanout import Delivery
from lambdas.common.live.listeners import Connection
from tests.lambdas.chat.conftest import ChatUser, Socket, World

PARTS = 4
QUEUE = "DELIVERIES_QUEUE_URL"


@pytest.fixture
def environ(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    return {**environ, "ROOM_PARTS": str(PARTS)}


@pytest.fixture
def sockets(bob: ChatUser, room_id: str) -> dict[int, Socket]:
    """One connection in each part of the room."""
    frame: Any = {"type": "new_message"}
    parts = Delivery(room_id, frame).split(PARTS)
    by_part: dict[int, Socket] = {}
    for number in count():
        connection = Connection(f"connection-{number}", "bob", "session")
        [part] = [delivery.part for delivery in parts if delivery.is_for(connection)]
        if part not in by_part:
            by_part[part] = bob.connect(connection_id=connection.connection_id)
            by_part[part].join(room_id)
        if len(by_part) == PARTS:
            break
    for socket in by_part.values():
        socket.take()
    return by_part


def deliver(world: World, record: dict[str, Any]) -> None:
    assert world.deliver({"Records": [record]}) == {"batchItemFailures": []}


def received(sockets: dict[int, Socket]) -> dict[int, list[int]]:
    """Returns the sequence numbers (`seq`) of the new messages that each part received."""
    return {
        part: [frame["seq"] for frame in socket.take("new_message")]
        for part, socket in sockets.items()
    }


def test_every_connection_is_in_exactly_one_part() -> None:
    parts = Delivery("room", {"type": "new_message"}).split(PARTS)
    connections = [Connection(f"connection-{n}", "user", "session") for n in range(1000)]
    owners = [[d.part for d in parts if d.is_for(connection)] for connection in connections]
    assert all(len(numbers) == 1 for numbers in owners)
    sizes = Counter(numbers[0] for numbers in owners)
    assert all(200 < sizes[part] < 300 for part in range(PARTS))


def test_each_part_is_a_message_group_that_keeps_the_order(
    ann: ChatUser, room_id: str, sockets: dict[int, Socket], world: World
) -> None:
    numbers = [ann.send(room_id)["seq"] for _ in range(2)]
    messages = world.sqs.receive_message(
        QueueUrl=world.environ[QUEUE],
        MaxNumberOfMessages=10,
        AttributeNames=["MessageGroupId"],
    )["Messages"]
    groups = Counter(message["Attributes"]["MessageGroupId"] for message in messages)
    assert groups == {f"{room_id}:{part}": 2 for part in range(PARTS)}
    records = [
        {
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:frames.fifo",
            "messageId": message["MessageId"],
            "body": message["Body"],
            "attributes": {"ApproximateReceiveCount": "1"},
        }
        for message in messages
    ]
    # A part that is late does not change the order within another part.
    last = [r for r in records if '"part":3' in r["body"]]
    for record in [*(r for r in records if r not in last), *last]:
        deliver(world, record)
    assert received(sockets) == dict.fromkeys(sockets, numbers)


def test_a_message_counts_as_sent_when_it_was_sent_to_all_parts_of_the_room(
    ann: ChatUser, room_id: str, sockets: dict[int, Socket], world: World, cache: redis.Redis
) -> None:
    message = ann.send(room_id)
    *parts, last = world.queued(QUEUE)
    assert len(parts) == PARTS - 1
    for record in parts:
        deliver(world, record)
    # The frame for one part of the room is still in the queue, so the function checks the message
    # again later.
    assert world.deliver({"Records": [world.stream(message["messageId"])]}) is None
    [check] = world.queued("DELIVERY_RETRIES_QUEUE_URL")
    deliver(world, check)
    assert sum(map(len, received(sockets).values())) == PARTS - 1
    [check] = world.queued("DELIVERY_RETRIES_QUEUE_URL")
    deliver(world, last)
    deliver(world, check)
    assert world.queued("DELIVERY_RETRIES_QUEUE_URL") == []
    assert sum(map(len, received(sockets).values())) == 1


def test_a_message_whose_frame_for_one_part_was_lost_is_sent_again(
    ann: ChatUser, room_id: str, sockets: dict[int, Socket], world: World, cache: redis.Redis
) -> None:
    message = ann.send(room_id)
    for record in world.queued(QUEUE)[1:]:
        deliver(world, record)
    received(sockets)
    # Simulates that the cache entry, which states that the frame is still queued, expires.
    cache.delete(f"chat:delivery:{message['messageId']}:1")
    world.deliver({"Records": [world.stream(message["messageId"])]})
    for check in world.queued("DELIVERY_RETRIES_QUEUE_URL"):
        deliver(world, check)
    assert received(sockets) == {part: [message["seq"]] for part in sockets}


def test_a_part_whose_frame_the_queue_rejects_receives_the_message_later(
    ann: ChatUser,
    room_id: str,
    sockets: dict[int, Socket],
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send = type(world.clients.sqs).send_message_batch

    def reject(client: Any, **arguments: Any) -> Any:
        send(client, **{**arguments, "Entries": arguments["Entries"][1:]})
        return {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}

    with monkeypatch.context() as patch:
        patch.setattr(type(world.clients.sqs), "send_message_batch", reject)
        message = ann.send(room_id)
    for record in world.queued(QUEUE):
        deliver(world, record)
    assert received(sockets)[0] == []
    world.deliver({"Records": [world.stream(message["messageId"])]})
    for check in world.queued("DELIVERY_RETRIES_QUEUE_URL"):
        deliver(world, check)
    assert received(sockets)[0] == [message["seq"]]


def test_sending_succeeds_if_the_queue_fails(
    ann: ChatUser, room_id: str, sockets: dict[int, Socket], world: World, caplog: Any
) -> None:
    world.sqs.delete_queue(QueueUrl=world.environ[QUEUE])
    assert ann.send(room_id)["seq"] == 1
    assert "delivery not queued" in [record.getMessage() for record in caplog.records]
    with pytest.raises(ClientError):
        world.queued(QUEUE)
