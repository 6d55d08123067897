"""Tests that the delivery function sends stored messages that were not sent to their rooms."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from lambdas.chat.broadcast import Broadcast
from lambdas.common.live.listeners import QUEUED_LIFETIME, LiveRooms
from lambdas.common.messaging.consumer import BatchFailedError
from lambdas.common.storage.cache import CacheUnavailableError
from lambdas.common.storage.dynamodb import unpack
from tests.lambdas.chat.conftest import ChatUser, Socket, World, ok


@pytest.fixture
def room_id(ann: ChatUser) -> str:
    return ann.create_room("public")


@pytest.fixture
def listener(bob: ChatUser, room_id: str) -> Socket:
    socket = bob.connect()
    socket.join(room_id)
    socket.take()
    return socket


@pytest.fixture
def unannounced(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Prevents frames to rooms, as if each function was killed after it stored a message."""
    monkeypatch.setattr(Broadcast, "send", lambda *_arguments: None)
    return monkeypatch


def notify(world: World, *records: dict[str, Any]) -> None:
    assert world.deliver({"Records": list(records)}) is None


def retry(world: World) -> int:
    """Delivers the retry queue's messages to the function. Returns their number."""
    records = world.queued("DELIVERY_RETRIES_QUEUE_URL")
    if records:
        assert world.deliver({"Records": records}) == {"batchItemFailures": []}
    return len(records)


def test_a_delivered_message_is_not_sent_again(
    ann: ChatUser, room_id: str, listener: Socket, world: World
) -> None:
    message_id = ann.send(room_id)["messageId"]
    assert len(listener.take()) == 1
    notify(world, world.stream(message_id))
    assert retry(world) == 0


def test_a_message_is_delivered_if_the_function_was_killed_after_storing_it(
    ann: ChatUser, room_id: str, listener: Socket, world: World, unannounced: pytest.MonkeyPatch
) -> None:
    message_id = ann.send(room_id, "Lost?")["messageId"]
    notify(world, world.stream(message_id))
    assert listener.take() == []
    assert retry(world) == 1
    [frame] = listener.take()
    assert (frame["type"], frame["seq"], frame["message"]["content"]) == ("new_message", 1, "Lost?")
    notify(world, world.stream(message_id))
    assert retry(world) == 0


@pytest.mark.parametrize("transport", ["rest", "websocket"])
def test_a_message_that_cannot_be_sent_to_the_room_is_acknowledged_and_delivered_later(
    ann: ChatUser,
    room_id: str,
    listener: Socket,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    transport: str,
) -> None:
    sender = ann.connect()
    sender.join(room_id)
    listener.take()

    def fail(*_arguments: object) -> None:
        raise RuntimeError("unexpected")

    with monkeypatch.context() as patch:
        patch.setattr(Broadcast, "send", fail)
        message = (
            ann.send(room_id)
            if transport == "rest"
            else sender.send("send_message", roomId=room_id, content="Hello")
        )
    assert listener.take() == []
    messages = [record.getMessage() for record in caplog.records]
    assert "message not announced; the delivery function will send it" in messages
    assert "message announced" not in messages
    notify(world, world.stream(message["messageId"]))
    assert retry(world) == 1
    assert [frame["seq"] for frame in listener.take("new_message")] == [message["seq"]]


def test_a_delivery_retry_does_not_resend_a_message_that_was_already_sent(
    ann: ChatUser, room_id: str, listener: Socket, world: World, cache: redis.Redis
) -> None:
    message_id = ann.send(room_id)["messageId"]
    cache.delete(f"chat:delivery:{message_id}:1")
    notify(world, world.stream(message_id))
    cache.set(f"chat:delivery:{message_id}:1", "sent")
    assert retry(world) == 1
    assert len(listener.take()) == 1


def test_edits_and_deletions_that_were_not_sent_to_the_room_are_delivered_later(
    ann: ChatUser, room_id: str, listener: Socket, world: World, unannounced: pytest.MonkeyPatch
) -> None:
    edited, deleted = (ann.send(room_id)["messageId"] for _ in range(2))
    path = f"/rooms/{room_id}/messages"
    before = {id_: unpack(world.stream(id_)["dynamodb"]["NewImage"]) for id_ in (edited, deleted)}
    ok(ann.call("PATCH", f"{path}/{edited}", {"content": "Edited"}))
    ok(ann.call("DELETE", f"{path}/{deleted}"), 204)
    notify(world, world.stream(edited, before[edited]), world.stream(deleted, before[deleted]))
    retry(world)
    assert sorted(frame["type"] for frame in listener.take()) == [
        "message_deleted",
        "message_updated",
    ]


def test_a_lost_message_that_was_edited_is_sent_as_a_new_message(
    ann: ChatUser, room_id: str, listener: Socket, world: World, unannounced: pytest.MonkeyPatch
) -> None:
    message_id = ann.send(room_id)["messageId"]
    record = world.stream(message_id)
    ok(ann.call("PATCH", f"/rooms/{room_id}/messages/{message_id}", {"content": "Edited"}))
    notify(world, record)
    retry(world)
    [frame] = listener.take()
    assert (frame["type"], frame["message"]["content"], frame["message"]["version"]) == (
        "new_message",
        "Edited",
        2,
    )


def test_other_items_of_the_messages_table_are_ignored(
    ann: ChatUser, room_id: str, world: World
) -> None:
    message_id = ann.send(room_id)["messageId"]
    ok(ann.call("PUT", f"/rooms/{room_id}/messages/{message_id}/reactions/👍", {}), 204)
    for item in world.items("messages"):
        if "room_id" not in item:
            notify(world, world.stream(item["message_id"]))
    # The function also ignores a change of a message if the message's version stays the same.
    notify(
        world, world.stream(message_id, unpack(world.stream(message_id)["dynamodb"]["NewImage"]))
    )
    assert retry(world) == 0


def test_a_lost_queued_frame_is_sent_later(
    ann: ChatUser,
    room_id: str,
    listener: Socket,
    world: World,
    cache: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    message_id = ann.send(room_id)["messageId"]
    # The test deletes the frame from the queue before the function receives it, so it is lost.
    assert len(world.queued("DELIVERIES_QUEUE_URL")) == 1
    notify(world, world.stream(message_id))
    for _ in range(2):  # the queued frame may still arrive, so the function checks again later
        assert retry(world) == 1
        assert listener.take() == []
    assert 0 < cache.ttl(f"chat:delivery:{message_id}:1") <= QUEUED_LIFETIME
    cache.delete(f"chat:delivery:{message_id}:1")
    assert retry(world) == 1
    assert retry(world) == 0
    assert [frame["seq"] for frame in listener.take()] == [1]


@pytest.mark.parametrize("limit", [0, 100], ids=["through the queue", "by the chat function"])
def test_the_log_counts_the_connections_that_received_a_message(
    ann: ChatUser,
    room_id: str,
    listener: Socket,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limit: int,
) -> None:
    monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", limit)
    headers = {"X-Correlation-Id": "c-1"}
    path, body = f"/rooms/{room_id}/messages", {"content": "Secret"}
    caplog.clear()
    ok(ann.call("POST", path, body, headers=headers), 201)
    if records := world.queued("DELIVERIES_QUEUE_URL"):
        ok(ann.call("GET", "/rooms", headers={"X-Correlation-Id": "another"}), 200)
        world.deliver({"Records": records})
    assert len(listener.take("new_message")) == 1
    [line] = [vars(each) for each in caplog.records if each.getMessage() == "frames sent"]
    assert (line["correlation_id"], line["frame_type"]) == ("c-1", "new_message")
    assert (line["sent"], line["gone"], line["failed"]) == (1, 0, 0)
    assert "Secret" not in str(line)


def test_sending_succeeds_if_the_queue_fails(
    ann: ChatUser, room_id: str, listener: Socket, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    world.sqs.delete_queue(QueueUrl=world.environ["DELIVERIES_QUEUE_URL"])
    message_id = ann.send(room_id)["messageId"]
    notify(world, world.stream(message_id))
    retry(world)
    assert [frame["seq"] for frame in listener.take()] == [1]


def test_deliveries_are_retried_until_the_cache_is_available(
    ann: ChatUser, room_id: str, listener: Socket, world: World, unannounced: pytest.MonkeyPatch
) -> None:
    message_id = ann.send(room_id)["messageId"]
    with unannounced.context() as down:

        def refuse(self: LiveRooms, *arguments: Any) -> Any:
            raise CacheUnavailableError

        down.setattr(LiveRooms, "read_progress", refuse)
        down.setattr(LiveRooms, "connections", refuse)
        notify(world, world.stream(message_id))
        records = world.queued("DELIVERY_RETRIES_QUEUE_URL")
        with pytest.raises(BatchFailedError):
            world.deliver({"Records": records})
        body = json.dumps({"roomId": room_id, "frame": {"type": "user_left"}, "name": None})
        frame = {
            **records[0],
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:frames.fifo",
            "body": body,
        }
        assert world.deliver({"Records": [frame]}) == {"batchItemFailures": []}
    world.deliver({"Records": records})
    assert [frame["seq"] for frame in listener.take()] == [1]


@pytest.mark.parametrize("how", ["remove", "delete"])
def test_an_eviction_that_failed_in_the_cache_is_retried(
    how: str,
    ann: ChatUser,
    bob: ChatUser,
    room_id: str,
    listener: Socket,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as down:

        def refuse(self: LiveRooms, *arguments: Any) -> Any:
            raise CacheUnavailableError

        down.setattr(LiveRooms, "remove", refuse)
        if how == "remove":
            ok(ann.call("DELETE", f"/rooms/{room_id}/members/bob"), 204)
        else:
            ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    listener.take()
    assert retry(world) == 1
    reason = {"remove": "removed", "delete": "deleted"}[how]
    assert listener.take() == [{"type": "room_left", "roomId": room_id, "reason": reason}]
    if how == "remove":
        ann.send(room_id)
    assert listener.take() == []


def test_the_report_that_lambda_sends_about_a_failed_stream_batch_stays_in_the_queue(
    world: World,
) -> None:
    record = {
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:retries",
        "messageId": "m-1",
        "body": json.dumps({"requestContext": {}, "DDBStreamBatchInfo": {}}),
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    with pytest.raises(BatchFailedError):
        world.deliver({"Records": [record]})
