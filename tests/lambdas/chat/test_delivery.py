"""The delivery function: what was stored reaches live rooms, whatever happened to its first delivery."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from lambdas.chat.broadcast import Broadcast
from lambdas.common.live.listeners import QUEUED_LIFETIME, CachedLiveRooms
from lambdas.common.messaging.consumer import BatchFailedError
from lambdas.common.storage.cache import CacheUnavailableError
from lambdas.common.storage.dynamodb import unpack
from tests.lambdas.chat.conftest import Socket, Somebody, World, ok


@pytest.fixture
def room_id(ann: Somebody) -> str:
    return ann.make_room("public")


@pytest.fixture
def listener(bob: Somebody, room_id: str) -> Socket:
    socket = bob.connect()
    socket.join(room_id)
    socket.take()
    return socket


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The sender's function is killed between storing and delivering; `undo` lets it live."""
    monkeypatch.setattr(Broadcast, "send", lambda *_arguments: None)
    return monkeypatch


def watch(world: World, *records: dict[str, Any]) -> None:
    assert world.deliver({"Records": list(records)}) is None


def retry(world: World) -> int:
    """Hands the function what the retry queue holds; gives how many messages that was."""
    records = world.queued("DELIVERY_RETRIES_QUEUE_URL")
    if records:
        assert world.deliver({"Records": records}) == {"batchItemFailures": []}
    return len(records)


def test_what_was_delivered_is_left_alone(
    ann: Somebody, room_id: str, listener: Socket, world: World
) -> None:
    said = ann.say(room_id)["messageId"]
    assert len(listener.take()) == 1
    watch(world, world.stream(said))
    assert retry(world) == 0


def test_a_message_whose_sender_was_killed_is_delivered(
    ann: Somebody, room_id: str, listener: Socket, world: World, killed: pytest.MonkeyPatch
) -> None:
    said = ann.say(room_id, "Lost?")["messageId"]
    watch(world, world.stream(said))
    assert listener.take() == []
    assert retry(world) == 1
    [frame] = listener.take()
    assert (frame["type"], frame["seq"], frame["message"]["content"]) == ("new_message", 1, "Lost?")
    watch(world, world.stream(said))
    assert retry(world) == 0


@pytest.mark.parametrize("transport", ["rest", "websocket"])
def test_a_message_whose_announcement_fails_is_acknowledged_and_delivered_later(
    ann: Somebody,
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
        said = (
            ann.say(room_id)
            if transport == "rest"
            else sender.send("send_message", roomId=room_id, content="Hello")
        )
    assert listener.take() == []
    messages = [record.getMessage() for record in caplog.records]
    assert "message not announced; the delivery function will send it" in messages
    assert "message announced" not in messages
    watch(world, world.stream(said["messageId"]))
    assert retry(world) == 1
    assert [frame["seq"] for frame in listener.take("new_message")] == [said["seq"]]


def test_a_delivery_that_was_only_late_is_made_once(
    ann: Somebody, room_id: str, listener: Socket, world: World, cache: redis.Redis
) -> None:
    said = ann.say(room_id)["messageId"]
    cache.delete(f"chat:delivery:{said}:1")
    watch(world, world.stream(said))
    cache.set(f"chat:delivery:{said}:1", "sent")
    assert retry(world) == 1
    assert len(listener.take()) == 1


def test_edits_and_deletions_are_made_good_as_what_they_are(
    ann: Somebody, room_id: str, listener: Socket, world: World, killed: pytest.MonkeyPatch
) -> None:
    edited, deleted = (ann.say(room_id)["messageId"] for _ in range(2))
    path = f"/rooms/{room_id}/messages"
    before = {id_: unpack(world.stream(id_)["dynamodb"]["NewImage"]) for id_ in (edited, deleted)}
    ok(ann.call("PATCH", f"{path}/{edited}", {"content": "Edited"}))
    ok(ann.call("DELETE", f"{path}/{deleted}"), 204)
    watch(world, world.stream(edited, before[edited]), world.stream(deleted, before[deleted]))
    retry(world)
    assert sorted(frame["type"] for frame in listener.take()) == [
        "message_deleted",
        "message_updated",
    ]


def test_a_new_message_is_delivered_though_it_has_been_edited_since(
    ann: Somebody, room_id: str, listener: Socket, world: World, killed: pytest.MonkeyPatch
) -> None:
    said = ann.say(room_id)["messageId"]
    record = world.stream(said)
    ok(ann.call("PATCH", f"/rooms/{room_id}/messages/{said}", {"content": "Edited"}))
    watch(world, record)
    retry(world)
    [frame] = listener.take()
    assert (frame["type"], frame["message"]["content"], frame["message"]["version"]) == (
        "new_message",
        "Edited",
        2,
    )


def test_what_lies_beside_messages_is_no_message(ann: Somebody, room_id: str, world: World) -> None:
    said = ann.say(room_id)["messageId"]
    ok(ann.call("PUT", f"/rooms/{room_id}/messages/{said}/reactions/x", {}), 204)
    for item in world.items("messages"):
        if "room_id" not in item:
            watch(world, world.stream(item["message_id"]))
    # Nor is a change that makes no new state.
    watch(world, world.stream(said, unpack(world.stream(said)["dynamodb"]["NewImage"])))
    assert retry(world) == 0


def test_a_handed_over_frame_that_got_lost_is_made_good(
    ann: Somebody,
    room_id: str,
    listener: Socket,
    world: World,
    cache: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    said = ann.say(room_id)["messageId"]
    assert len(world.queued("DELIVERIES_QUEUE_URL")) == 1  # and nobody works on it
    watch(world, world.stream(said))
    for _ in range(2):  # as long as it may be in the queue, it is waited for
        assert retry(world) == 1
        assert listener.take() == []
    assert 0 < cache.ttl(f"chat:delivery:{said}:1") <= QUEUED_LIFETIME
    cache.delete(f"chat:delivery:{said}:1")
    assert retry(world) == 1
    assert retry(world) == 0
    assert [frame["seq"] for frame in listener.take()] == [1]


def test_a_queue_that_takes_nothing_fails_no_sender(
    ann: Somebody, room_id: str, listener: Socket, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    world.sqs.delete_queue(QueueUrl=world.environ["DELIVERIES_QUEUE_URL"])
    said = ann.say(room_id)["messageId"]
    watch(world, world.stream(said))
    retry(world)
    assert [frame["seq"] for frame in listener.take()] == [1]


def test_while_the_cache_is_down_deliveries_wait(
    ann: Somebody, room_id: str, listener: Socket, world: World, killed: pytest.MonkeyPatch
) -> None:
    said = ann.say(room_id)["messageId"]
    with killed.context() as down:

        def refuse(self: CachedLiveRooms, *arguments: Any) -> Any:
            raise CacheUnavailableError

        down.setattr(CachedLiveRooms, "progress", refuse)
        down.setattr(CachedLiveRooms, "connections", refuse)
        watch(world, world.stream(said))
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


def test_an_eviction_that_the_cache_missed_is_made_up_for(
    ann: Somebody,
    bob: Somebody,
    room_id: str,
    listener: Socket,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as down:

        def refuse(self: CachedLiveRooms, *arguments: Any) -> Any:
            raise CacheUnavailableError

        down.setattr(CachedLiveRooms, "evict", refuse)
        ok(ann.call("DELETE", f"/rooms/{room_id}/members/bob"), 204)
    listener.take()
    assert retry(world) == 1
    ann.say(room_id)
    assert listener.take() == []


def test_a_batch_that_lambda_gave_up_is_for_somebody_to_look_at(world: World) -> None:
    record = {
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:retries",
        "messageId": "m-1",
        "body": json.dumps({"requestContext": {}, "DDBStreamBatchInfo": {}}),
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    with pytest.raises(BatchFailedError):
        world.deliver({"Records": [record]})
