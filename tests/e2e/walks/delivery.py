"""delivery: a message that chat did not deliver, a frame for a large room, and a deleted room."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from msgspec import to_builtins

from lambdas.common.live.chat_messages import (
    Message,
    attachment_prefix,
    message_id,
    removal_marker,
    removal_marker_id,
    secondary_partition,
)
from lambdas.common.storage.dynamodb import pack
from tests.e2e.faults import queue_attributes
from tests.e2e.walks.chat import Listener
from tests.e2e.walks.world import World


def walk(world: World) -> Iterator[str]:
    ann = world.user("Ann Example")

    def call(path: str, body: object) -> dict[str, str]:
        response: dict[str, str] = world.api.post(f"/v1/chat{path}", body, token=ann.token).json
        return response

    room = call("/rooms", {"name": "A walk", "type": "private"})["roomId"]
    listener = Listener(world, call("/tickets", {})["ticket"])
    listener.ask("join_room", roomId=room)
    with queue_attributes(world.platform, "delivery-retries-queue-local", DelaySeconds="0"):
        lost = Message(
            message_id=f"{room}-1",
            room_id=room,
            seq=1,
            timestamp="2026-01-01T00:00:00.000Z",
            author_id=ann.user_id,
            author_name="Ann Example",
            content="Lost",
            version=1,
        )
        world.client("dynamodb").put_item(
            TableName="chat-messages-local", Item=pack(to_builtins(lost))
        )
        assert listener.wait("new_message")["message"]["content"] == "Lost"
        yield "stream and retries"
        remove_room(world)
        yield "deleted rooms"
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="delivery-frames-queue-local.fifo")["QueueUrl"]
    body = json.dumps({"roomId": room, "frame": {"type": "user_left", "roomId": room}})
    sqs.send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=room, MessageDeduplicationId=uuid.uuid4().hex
    )
    listener.wait("user_left")
    listener.socket.close()
    yield "frames"


def remove_room(world: World) -> None:
    """Writes one item of each kind for a room, then the marker of its deletion."""
    room = uuid.uuid4().hex
    dynamodb, s3 = world.client("dynamodb"), world.client("s3")
    bucket = world.platform.outputs["attachments_bucket"]
    message = Message(
        message_id=message_id(room, 1),
        room_id=room,
        seq=1,
        timestamp="2026-01-01T00:00:00.000Z",
        author_name="Anonymous_Panda_1",
        content="Left",
        is_anonymous=True,
        version=1,
    )
    reaction = f"{message.message_id}#x#somebody"
    items = [
        (
            "chat-messages-local",
            {"message_id": reaction, "room_id": secondary_partition(room), "timestamp": reaction},
        ),
        ("chat-members-local", {"room_id": room, "user_id": "somebody"}),
        ("platform-authors-local", {"item_id": message.message_id, "user_id": "somebody"}),
    ]
    for table, item in items:
        dynamodb.put_item(TableName=table, Item=pack(item))
    dynamodb.put_item(TableName="chat-messages-local", Item=pack(to_builtins(message)))
    s3.put_object(Bucket=bucket, Key=f"{attachment_prefix(room)}x", Body=b"x")
    dynamodb.put_item(TableName="chat-messages-local", Item=pack(removal_marker(room, 1, 0)))

    def marked() -> bool:
        key = pack({"message_id": removal_marker_id(room)})
        return "Item" in dynamodb.get_item(TableName="chat-messages-local", Key=key)

    world.eventually(lambda: not marked())
    for table, item in [*items, ("chat-messages-local", {"message_id": message.message_id})]:
        names = ("room_id", "user_id") if "members" in table else (next(iter(item)),)
        assert "Item" not in dynamodb.get_item(
            TableName=table, Key=pack({name: item[name] for name in names})
        ), table
    assert not s3.list_objects_v2(Bucket=bucket, Prefix=attachment_prefix(room)).get("Contents")
