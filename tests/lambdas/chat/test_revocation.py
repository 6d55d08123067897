"""Tests that connections with an ended session or membership receive no messages."""

from __future__ import annotations

import json

import pytest

from lambdas.chat.broadcast import Broadcast
from lambdas.common.live import audience
from tests.lambdas.chat.conftest import ChatUser, Socket, World, ok
from tests.lambdas.support import FakeClock


@pytest.fixture
def listener(bob: ChatUser, room_id: str) -> Socket:
    """A connection of bob that only listens."""
    socket = bob.connect()
    socket.join(room_id)
    return socket


@pytest.fixture(params=["chat", "delivery"])
def function(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The function that sends frames: chat in small rooms, delivery in large rooms."""
    name: str = request.param
    if name == "delivery":
        monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    return name


@pytest.fixture
def without_recheck_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "RECHECK_INTERVAL", 0)


def send(world: World, sender: ChatUser, room_id: str, function: str) -> None:
    sender.send(room_id)
    if function == "delivery":
        records = world.queued("DELIVERIES_QUEUE_URL")
        assert not records or world.deliver({"Records": records}) == {"batchItemFailures": []}


def end_session(world: World, user: ChatUser, reason: str) -> None:
    key = {"session_id": {"S": user.caller.session_id}}
    if reason == "revoked":
        world.dynamodb.delete_item(TableName="sessions", Key=key)
    else:
        world.dynamodb.update_item(
            TableName="sessions",
            Key=key,
            UpdateExpression="SET expires_at = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )


@pytest.mark.usefixtures("without_recheck_delay")
@pytest.mark.parametrize("reason", ["revoked", "expired"])
def test_a_connection_whose_session_has_ended_receives_an_error_and_is_closed(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket, function: str,
    reason: str,
) -> None:  # fmt: skip
    send(world, ann, room_id, function)
    assert [frame["type"] for frame in listener.take()] == ["new_message"]
    end_session(world, bob, reason)
    send(world, ann, room_id, function)
    [frame] = listener.take()
    assert (frame["type"], frame["code"]) == ("error", "session_ended")
    assert world.gateway.closed == [listener.connection_id]


@pytest.mark.usefixtures("without_recheck_delay")
def test_typing_frames_are_not_sent_to_ended_sessions(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket
) -> None:
    typing = ann.connect()
    typing.join(room_id)
    listener.take()
    end_session(world, bob, "revoked")
    for action in ("typing_start", "typing_stop"):
        typing.send(action, roomId=room_id)
    assert {frame["type"] for frame in listener.take()} == {"error"}


@pytest.mark.usefixtures("without_recheck_delay")
def test_a_former_member_receives_nothing_even_if_the_eviction_failed(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket, function: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The chat function ended the membership, but did not remove the connections from the room."""
    with monkeypatch.context() as killed:
        killed.setattr(Broadcast, "evict", lambda *_arguments: None)
        ok(ann.call("PATCH", f"/rooms/{room_id}/members/bob", {"ban": True}))
    for _ in range(2):
        send(world, ann, room_id, function)
    assert listener.take() == [{"type": "room_left", "roomId": room_id, "reason": "removed"}]
    assert listener.send("typing_start", roomId=room_id)["code"] == "not_joined"


def test_a_session_is_checked_again_after_two_seconds(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket
) -> None:
    clock = FakeClock()
    reader = audience.AudienceReader(world.table("sessions"), world.table("members"), clock)
    listeners = {room_id: world.live.connections(room_id)}
    assert reader.check(listeners).admitted == listeners
    end_session(world, bob, "revoked")
    clock.advance(audience.RECHECK_INTERVAL - 0.001)
    assert reader.check(listeners).admitted == listeners
    clock.advance(0.001)
    checked = reader.check(listeners)
    assert (checked.admitted, checked.ended) == ({room_id: []}, listeners[room_id])
    # Sending a frame takes up to 1.5 s and is not retried. The recheck interval plus this time
    # must be less than 5 s.
    assert audience.RECHECK_INTERVAL <= 2


def test_sending_succeeds_if_sessions_cannot_be_read(
    world: World, ann: ChatUser, room_id: str, listener: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError

    monkeypatch.setattr(audience.AudienceReader, "check", fail)
    ann.send(room_id)
    assert "new_message" not in json.dumps(listener.take())


def test_a_connection_without_a_session_does_not_prevent_the_delivery_to_others(
    world: World, ann: ChatUser, room_id: str, listener: Socket, function: str
) -> None:
    room = f"chat:room:{room_id}"
    # The entry of a connection that an earlier version of the code stored.
    world.cache.zadd(room, {"old|nobody|0": 4e9})
    # DynamoDB rejects empty keys, but moto accepts them.
    read: list[str] = []
    world.clients.dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.BatchGetItem",
        lambda params, **_: read.append(json.dumps(params, default=str)),
    )
    send(world, ann, room_id, function)
    assert read
    assert not [call for call in read if '{"S": ""}' in call or '"session_id": ""' in call]
    assert [frame["type"] for frame in listener.take()] == ["new_message"]
    assert world.cache.zscore(room, "old|nobody|0") is None
