"""Causes every event that the delivery function handles.

The events are a message that chat stored but did not deliver, a deleted room, and a frame for a
large room.
"""

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
from tests.e2e.scenarios.chat import Listener
from tests.e2e.scenarios.context import ScenarioContext
from tests.e2e.support.faults import change_queue_attributes


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    ann = context.get_user("Ann Example")

    def call(path: str, body: object) -> dict[str, str]:
        response: dict[str, str] = context.api.post(f"/v1/chat{path}", body, token=ann.token).json
        return response

    room = call("/rooms", {"name": "A room", "type": "private"})["roomId"]
    listener = Listener(context, call("/tickets", {})["ticket"])
    listener.request("join_room", roomId=room)
    with change_queue_attributes(
        context.platform, "delivery-retries-queue-local", DelaySeconds="0"
    ):
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
        context.client("dynamodb").put_item(
            TableName="chat-messages-local", Item=pack(to_builtins(lost))
        )
        assert listener.wait_for_frame("new_message")["message"]["content"] == "Lost"
        yield "stream and retries"
        delete_room(context)
        yield "deleted rooms"
    sqs = context.client("sqs")
    url = sqs.get_queue_url(QueueName="delivery-frames-queue-local.fifo")["QueueUrl"]
    body = json.dumps({"roomId": room, "frame": {"type": "user_left", "roomId": room}})
    sqs.send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=room, MessageDeduplicationId=uuid.uuid4().hex
    )
    listener.wait_for_frame("user_left")
    listener.socket.close()
    yield "frames"


def delete_room(context: ScenarioContext) -> None:
    """Writes an item of each kind for a room, and marks the room as deleted.

    Waits until the delivery function has removed the items.
    """
    room = uuid.uuid4().hex
    dynamodb, s3 = context.client("dynamodb"), context.client("s3")
    bucket = context.platform.outputs["attachments_bucket"]
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

    def is_marked() -> bool:
        key = pack({"message_id": removal_marker_id(room)})
        return "Item" in dynamodb.get_item(TableName="chat-messages-local", Key=key)

    context.wait_for(lambda: not is_marked())
    for table, item in [*items, ("chat-messages-local", {"message_id": message.message_id})]:
        names = ("room_id", "user_id") if "members" in table else (next(iter(item)),)
        assert "Item" not in dynamodb.get_item(
            TableName=table, Key=pack({name: item[name] for name in names})
        ), table
    assert not s3.list_objects_v2(Bucket=bucket, Prefix=attachment_prefix(room)).get("Contents")
