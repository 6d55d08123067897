"""Revoked sessions and lost memberships: nothing is delivered to their connections."""

from __future__ import annotations

import json

import pytest

from lambdas.chat.broadcast import Broadcast
from lambdas.common.live import audience
from tests.lambdas.chat.conftest import ChatUser, Socket, World, ok
from tests.lambdas.support import FakeClock


@pytest.fixture
def room_id(ann: ChatUser, bob: ChatUser) -> str:
    id_ = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{id_}/join", {}))
    return id_


@pytest.fixture
def listener(bob: ChatUser, room_id: str) -> Socket:
    """A connection of bob that only listens."""
    socket = bob.connect()
    socket.join(room_id)
    return socket


@pytest.fixture(params=["chat", "delivery"])
def function(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Parametrizes which function delivers: chat in small rooms, delivery in large rooms."""
    name: str = request.param
    if name == "delivery":
        monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    return name


@pytest.fixture
def checked_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "RECHECK", 0)


def send(world: World, sender: ChatUser, room_id: str, function: str) -> None:
    sender.send(room_id)
    if function == "delivery":
        records = world.queued("DELIVERIES_QUEUE_URL")
        assert not records or world.deliver({"Records": records}) == {"batchItemFailures": []}


def end_session(world: World, user: ChatUser, how: str) -> None:
    key = {"session_id": {"S": user.caller.session_id}}
    if how == "revoked":
        world.dynamodb.delete_item(TableName="sessions", Key=key)
    else:
        world.dynamodb.update_item(
            TableName="sessions",
            Key=key,
            UpdateExpression="SET expires_at = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )


@pytest.mark.usefixtures("checked_always")
@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_listener_whose_session_has_ended_is_told_and_disconnected(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket, function: str,
    how: str,
) -> None:  # fmt: skip
    send(world, ann, room_id, function)
    assert [frame["type"] for frame in listener.take()] == ["new_message"]
    end_session(world, bob, how)
    send(world, ann, room_id, function)
    [frame] = listener.take()
    assert (frame["type"], frame["code"]) == ("error", "session_ended")
    assert world.gateway.closed == [listener.connection_id]


@pytest.mark.usefixtures("checked_always")
def test_signals_do_not_reach_ended_sessions(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket
) -> None:
    typing = ann.connect()
    typing.join(room_id)
    listener.take()
    end_session(world, bob, "revoked")
    for action in ("typing_start", "typing_stop"):
        typing.send(action, roomId=room_id)
    assert {frame["type"] for frame in listener.take()} == {"error"}


@pytest.mark.usefixtures("checked_always")
def test_a_membership_that_ended_unannounced_ends_the_delivery(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket, function: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The function is killed after it ended the membership, before it removed the connections."""
    with monkeypatch.context() as killed:
        killed.setattr(Broadcast, "evict", lambda *_arguments: None)
        ok(ann.call("PATCH", f"/rooms/{room_id}/members/bob", {"ban": True}))
    for _ in range(2):
        send(world, ann, room_id, function)
    assert listener.take() == [{"type": "room_left", "roomId": room_id, "reason": "removed"}]
    assert listener.send("typing_start", roomId=room_id)["code"] == "not_joined"


def test_a_session_is_confirmed_for_two_seconds_only(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket
) -> None:
    clock = FakeClock()
    reader = audience.AudienceReader(world.table("sessions"), world.table("members"), clock)
    listeners = {room_id: world.live.connections(room_id)}
    assert reader.check(listeners).admitted == listeners
    end_session(world, bob, "revoked")
    clock.advance(audience.RECHECK - 0.001)
    assert reader.check(listeners).admitted == listeners
    clock.advance(0.001)
    checked = reader.check(listeners)
    assert (checked.admitted, checked.ended) == ({room_id: []}, listeners[room_id])
    # With the longest time of a post, 1.5 s, and its retry, this stays below 5 s.
    assert audience.RECHECK <= 2


def test_an_unreadable_table_does_not_fail_a_stored_message(
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
