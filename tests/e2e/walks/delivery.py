"""delivery: a message that nobody else delivers, and a frame for a big room."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from lambdas.common.chat_messages import Message
from tests.e2e.faults import queue_attributes
from tests.e2e.walks.chat import Listener
from tests.e2e.walks.world import World


def walk(world: World) -> Iterator[str]:
    ann = world.user("Ann Example")

    def call(path: str, body: object) -> dict[str, str]:
        answer: dict[str, str] = world.api.post(f"/v1/chat{path}", body, token=ann.token).json
        return answer

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
        world.client("dynamodb").put_item(TableName="chat-messages-local", Item=lost.item())
        assert listener.wait("new_message")["message"]["content"] == "Lost"
        yield "stream and retries"
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="delivery-frames-queue-local.fifo")["QueueUrl"]
    body = json.dumps({"roomId": room, "frame": {"type": "user_left", "roomId": room}})
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=room, MessageDeduplicationId=uuid.uuid4().hex)
    listener.wait("user_left")
    listener.socket.close()
    yield "frames"
