"""Tests the WebSocket API: joins, messages, typing, presence, and failures of cache and
connections.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from botocore.exceptions import ClientError, EndpointConnectionError

from lambdas.chat.broadcast import INLINE_LIMIT, Broadcast
from lambdas.common.live.fanout import Delivery
from lambdas.common.live.listeners import LIFETIME, Connection, LiveRooms
from lambdas.common.people.profiles import ProfileReader
from lambdas.common.storage.cache import GuardedCache
from lambdas.common.storage.transactions import Transactions
from tests.lambdas.chat.conftest import ChatUser, Socket, World, ok
from tests.lambdas.support import document


@pytest.fixture
def room_id(ann: ChatUser, bob: ChatUser) -> str:
    """A private room with the owner ann and the member bob."""
    id_ = ann.create_room("private")
    ok(ann.call("POST", f"/rooms/{id_}/members", {"userId": "bob"}), 201)
    return id_


@pytest.fixture
def sockets(ann: ChatUser, bob: ChatUser, room_id: str) -> tuple[Socket, Socket]:
    """Connections of ann and bob that have joined the room."""
    joined = ann.connect(), bob.connect()
    for socket in joined:
        socket.join(room_id)
    for socket in joined:
        socket.take()
    return joined


@pytest.fixture
def cache_down(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Returns a function that starts an outage of the cache. The next call ends the outage."""
    monkeypatch.setattr(GuardedCache, "PAUSE_AFTER_FAILURE", 0.0)
    state = {"down": False}
    execute = redis.Redis.execute_command
    pipeline = redis.client.Pipeline.execute

    def refuse(run: Any) -> Any:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            if state["down"]:
                raise redis.ConnectionError("refused")
            return run(self, *arguments, **options)

        return call

    monkeypatch.setattr(redis.Redis, "execute_command", refuse(execute))
    monkeypatch.setattr(redis.client.Pipeline, "execute", refuse(pipeline))

    def toggle() -> None:
        state["down"] = not state["down"]

    return toggle


def test_members_receive_each_others_messages(sockets: tuple[Socket, Socket], room_id: str) -> None:
    ann, bob = sockets
    ack = ann.send("send_message", roomId=room_id, content="Tea?", clientMessageId="c-1")
    assert ack.keys() >= {"type", "requestId", "messageId", "seq"}
    assert (ack["type"], ack["requestId"], ack["seq"]) == ("ack", "r", 1)
    for socket in sockets:
        [frame] = socket.take()
        assert (frame["type"], frame["roomId"], frame["seq"]) == ("new_message", room_id, 1)
        assert frame["message"]["content"] == "Tea?"
        assert frame["message"]["messageId"] == ack["messageId"]
    assert (
        bob.send("send_message", roomId=room_id, content="Yes", replyTo=ack["messageId"])["seq"]
        == 2
    )
    assert ann.take()[0]["message"]["replyTo"] == ack["messageId"]


def test_a_message_is_stored_then_acknowledged_then_sent_to_the_room(
    sockets: tuple[Socket, Socket], room_id: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = sockets
    steps: list[str] = []
    acknowledge, announce = Broadcast.send_to, Broadcast.send

    def record_ack(self: Broadcast, connection: Connection, frame: Any) -> Any:
        assert [item["seq"] for item in world.items("messages")] == [frame["seq"]]
        steps.append(frame["type"])
        return acknowledge(self, connection, frame)

    def record_announcement(self: Broadcast, delivery: Delivery) -> None:
        steps.append(delivery.frame["type"])
        announce(self, delivery)

    monkeypatch.setattr(Broadcast, "send_to", record_ack)
    monkeypatch.setattr(Broadcast, "send", record_announcement)
    ann.send("send_message", roomId=room_id, content="x")
    assert steps == ["ack", "new_message"]
    assert len(bob.take("new_message")) == 1


def test_a_message_that_cannot_be_stored_is_neither_acknowledged_nor_sent_to_the_room(
    sockets: tuple[Socket, Socket], room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(Transactions, "write", fail)
    response = sockets[0].send("send_message", roomId=room_id, content="x")
    assert (response["type"], response["code"]) == ("error", "dependency_unavailable")
    assert sockets[1].take() == []


def test_a_message_is_sent_to_the_room_if_the_sender_has_disconnected(
    sockets: tuple[Socket, Socket], room_id: str, world: World
) -> None:
    ann, bob = sockets
    world.gateway.gone.add(ann.connection_id)
    frame = {"action": "send_message", "roomId": room_id, "content": "x"}
    ann.invoke("$default", json.dumps(frame))
    assert len(bob.take("new_message")) == 1


def test_changes_through_the_rest_api_are_sent_to_the_connections_in_the_room(
    ann: ChatUser, bob: ChatUser, sockets: tuple[Socket, Socket], room_id: str
) -> None:
    message = ann.send(room_id)
    path = f"/rooms/{room_id}/messages/{message['messageId']}"
    ok(bob.call("PUT", f"{path}/reactions/👍", {}), 204)
    ok(ann.call("PATCH", path, {"content": "Hi"}), 200)
    ok(bob.call("DELETE", f"{path}/reactions/👍"), 204)
    ok(ann.call("DELETE", path), 204)
    for socket in sockets:
        new, added, edited, removed, deleted = socket.take()
        assert (new["type"], new["message"]) == ("new_message", message)
        reaction = {"type": "reaction", "userId": "bob", "emoji": "👍"}
        assert added.items() >= {**reaction, "action": "added", "count": 1}.items()
        assert (edited["type"], edited["message"]["content"], edited["message"]["reactions"]) == (
            "message_updated",
            "Hi",
            {"👍": 1},
        )
        assert removed.items() >= {**reaction, "action": "removed", "count": 0}.items()
        assert deleted == {
            "type": "message_deleted",
            "roomId": room_id,
            "messageId": message["messageId"],
            "seq": 1,
        }


def test_the_join_ack_has_the_last_seq_and_the_online_users(
    ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    ann.send(room_id)
    first, second, third = ann.connect(), bob.connect(), bob.connect()
    assert first.join(room_id) == {
        "type": "ack",
        "requestId": "r",
        "action": "join_room",
        "roomId": room_id,
        "seq": 1,
        "online": ["ann"],
    }
    assert second.join(room_id)["online"] == ["ann", "bob"]
    third.join(room_id)
    online = {"type": "presence", "roomId": room_id, "userId": "bob", "status": "online"}
    assert first.take() == [online]
    third.close()
    assert first.take() == []
    second.send("leave_room", roomId=room_id)
    assert first.take() == [{**online, "status": "offline"}]
    assert second.send("send_message", roomId=room_id, content="x")["code"] == "not_joined"
    assert document(ok(bob.call("GET", f"/rooms/{room_id}")))["role"] == "member"


def test_joining_a_public_room_creates_a_membership(
    ann: ChatUser, bob: ChatUser, eve: ChatUser
) -> None:
    room_id = ann.create_room("public", maxMembers=2)
    listener = ann.connect()
    listener.join(room_id)
    bob.connect().join(room_id)
    assert [frame["type"] for frame in listener.take()] == ["user_joined", "presence"]
    assert eve.connect().send("join_room", roomId=room_id)["code"] == "room_full"
    ok(ann.call("PATCH", f"/rooms/{room_id}/members/eve", {"ban": True}))
    assert eve.connect().send("join_room", roomId=room_id)["code"] == "banned"


def test_users_who_are_not_members_receive_nothing(
    eve: ChatUser, sockets: tuple[Socket, Socket], room_id: str
) -> None:
    stranger = eve.connect()
    assert stranger.send("join_room", roomId=room_id)["code"] == "invitation_required"
    for action, fields in (
        ("send_message", {"content": "x"}), ("typing_start", {}), ("typing_stop", {}),
        ("mark_read", {"seq": 1}), ("leave_room", {}), ("ping", {}),
    ):  # fmt: skip
        assert stranger.send(action, roomId=room_id, **fields)["code"] == "not_joined"
    sockets[0].send("send_message", roomId=room_id, content="x")
    assert stranger.take() == []
    assert stranger.send("join_room", roomId="nowhere")["code"] == "room_not_found"


@pytest.mark.parametrize("how", ["remove", "ban", "leave", "delete"])
def test_a_removed_member_receives_no_more_frames(
    ann: ChatUser, bob: ChatUser, sockets: tuple[Socket, Socket], room_id: str, how: str
) -> None:
    member = f"/rooms/{room_id}/members/bob"
    if how == "remove":
        ok(ann.call("DELETE", member), 204)
    elif how == "ban":
        ok(ann.call("PATCH", member, {"ban": True}))
    elif how == "leave":
        ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    else:
        ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    if how != "delete":
        ann.send(room_id)
        assert [frame["type"] for frame in sockets[0].take()] == ["user_left", "new_message"]
    reason = {"remove": "removed", "ban": "banned", "leave": "left", "delete": "deleted"}[how]
    assert sockets[1].take() == [{"type": "room_left", "roomId": room_id, "reason": reason}]
    assert sockets[1].send("send_message", roomId=room_id, content="x")["code"] == "not_joined"
    assert sockets[1].send("join_room", roomId=room_id)["type"] == "error"


def test_a_removal_during_a_join_prevents_the_join(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member is removed after the first check, before the connection is in the room."""
    join = LiveRooms.join

    def removed_first(self: LiveRooms, connection: Connection, room: str) -> None:
        ok(ann.call("DELETE", f"/rooms/{room_id}/members/bob"), 204)
        join(self, connection, room)

    monkeypatch.setattr(LiveRooms, "join", removed_first)
    socket = bob.connect()
    assert socket.send("join_room", roomId=room_id)["code"] == "not_a_member"
    ann.send(room_id)
    assert socket.take() == []


def test_a_repeated_message_is_stored_once_and_gets_the_same_ack(
    sockets: tuple[Socket, Socket], room_id: str
) -> None:
    ann, bob = sockets
    first = ann.send("send_message", roomId=room_id, content="x", clientMessageId="c")
    repeated = ann.send("send_message", roomId=room_id, content="x", clientMessageId="c")
    assert repeated == first
    assert len(bob.take()) == 1
    # The same clientMessageId of another user identifies a different message.
    assert bob.send("send_message", roomId=room_id, content="x", clientMessageId="c")["seq"] == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        ("[1]", "malformed_json"),
        ('"ping"', "malformed_json"),
        ("{}", "unknown_action"),
        ('{"action": "shout"}', "unknown_action"),
        ('{"action": ["ping"]}', "unknown_action"),
        ('{"action": "ping", "color": "red"}', "invalid_fields"),
        # A client can send any action, even the name of one of API Gateway's own routes.
        ('{"action": "$connect"}', "unknown_action"),
        ('{"action": "$disconnect"}', "unknown_action"),
        ('{"action": "$default"}', "unknown_action"),
        ('{"action": "ping", "x": ' + "[" * 16_000 + "]" * 16_000 + "}", "malformed_json"),
        ('{"action": "ping", "x": ' + '{"x":' * 100 + "1" + "}" * 101, "invalid_fields"),
        ('{"action": "ping", "requestId": "' + "x" * 32 * 1024 + '"}', "frame_too_large"),
        ('{"action": "ping", "requestId": "' + "€" * 11_000 + '"}', "frame_too_large"),
        ('{"action": "join_room"}', "invalid_fields"),
        ('{"action": "send_message", "roomId": "r", "content": ""}', "invalid_fields"),
    ],
)
def test_an_invalid_frame_gets_an_error_and_keeps_the_connection(
    ann: ChatUser, world: World, text: str, code: str
) -> None:
    socket = ann.connect()
    action = json.loads(text)["action"] if text.startswith('{"action": "$') else "$default"
    response = socket.send_text(text, action)
    assert response.keys() >= {"type", "requestId", "code", "message"}
    assert (response["type"], response["code"], response["requestId"]) == ("error", code, None)
    assert socket.send("ping")["type"] == "ack"
    assert world.gateway.closed == []


def test_a_message_over_128_kb_gets_an_error_and_ends_the_connection(
    ann: ChatUser, world: World, room_id: str
) -> None:
    socket = ann.connect()
    socket.join(room_id)
    response = socket.send_text('{"action": "ping", "requestId": "' + "x" * 128 * 1024 + '"}')
    assert (response["type"], response["code"]) == ("error", "frame_too_large")
    assert world.gateway.closed == [socket.connection_id]
    assert world.live.connections(room_id) == []


def test_an_error_has_the_request_id_and_the_invalid_fields(ann: ChatUser) -> None:
    assert ann.connect().send("shout")["requestId"] == "r"
    response = ann.connect().send("join_room", roomId="a b", x=1)
    assert (response["requestId"], {error["field"] for error in response["errors"]}) == (
        "r",
        {"roomId", "x"},
    )


def test_typing_signals_reach_others_at_a_limited_rate(
    sockets: tuple[Socket, Socket], room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine, three signals can take longer than the real interval.
    monkeypatch.setattr("lambdas.chat.signals.TYPING_INTERVAL", 60)
    ann, bob = sockets
    for _ in range(3):
        assert ann.send("typing_start", roomId=room_id)["type"] == "ack"
    [frame] = bob.take()
    assert (frame["type"], frame["userId"], frame["displayName"], frame["isTyping"]) == (
        "typing",
        "ann",
        "Name of ann",
        True,
    )
    ann.send("typing_stop", roomId=room_id)
    [frame] = bob.take()
    assert frame["isTyping"] is False
    assert ann.take() == []


def test_read_marks_never_decrease_or_exceed_the_last_message(
    sockets: tuple[Socket, Socket], room_id: str
) -> None:
    ann, bob = sockets
    ann.send("send_message", roomId=room_id, content="1")
    ann.send("send_message", roomId=room_id, content="2")
    ann.take()
    for seq in (1, 1, 9, 1):
        assert bob.send("mark_read", roomId=room_id, seq=seq)["type"] == "ack"
    assert ann.take() == [
        {"type": "read", "roomId": room_id, "userId": "bob", "seq": seq} for seq in (1, 2)
    ]
    assert bob.send("mark_read", roomId=room_id, seq=0)["code"] == "invalid_fields"


def test_other_users_get_no_typing_or_read_frames_of_an_anonymous_author(
    sockets: tuple[Socket, Socket], room_id: str
) -> None:
    ann, bob = sockets
    ann.send("typing_start", roomId=room_id, isAnonymous=True)
    ann.send("send_message", roomId=room_id, content="x", isAnonymous=True)
    ann.send("typing_start", roomId=room_id)
    ann.send("typing_stop", roomId=room_id)
    ann.send("mark_read", roomId=room_id, seq=1)
    [frame] = bob.take()
    assert frame["type"] == "new_message"
    assert "ann" not in json.dumps(frame)


def test_other_users_get_no_presence_or_typing_or_read_frames_of_anonymous_users(
    ann: ChatUser, visitor: ChatUser, world: World
) -> None:
    room_id = ann.create_room("public")
    ok(visitor.call("POST", f"/rooms/{room_id}/join", {}))
    listener, hidden = ann.connect(), visitor.connect()
    listener.join(room_id)
    # By default, only registered users see that ann is online.
    assert hidden.join(room_id)["online"] == []
    hidden.send("typing_start", roomId=room_id)
    message = hidden.send("send_message", roomId=room_id, content="x")
    hidden.send("mark_read", roomId=room_id, seq=1)
    ok(
        visitor.call("PUT", f"/rooms/{room_id}/messages/{message['messageId']}/reactions/👍", {}),
        204,
    )
    hidden.close()
    frames = listener.take()
    assert [frame["type"] for frame in frames] == ["new_message", "reaction"]
    assert "visitor" not in json.dumps(frames)


def test_a_muted_member_cannot_send_frames(
    ann: ChatUser, sockets: tuple[Socket, Socket], room_id: str
) -> None:
    ok(ann.call("PATCH", f"/rooms/{room_id}/members/bob", {"mute": True}))
    for action, fields in (("send_message", {"content": "x"}), ("typing_start", {})):
        assert sockets[1].send(action, roomId=room_id, **fields)["code"] == "muted"
    assert sockets[0].take() == []


def test_privacy_settings_hide_presence_and_read_marks(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    bob.set_profile(preferences={"privacy": {"showOnlineStatus": False, "showReadReceipts": False}})
    first, second = ann.connect(), bob.connect()
    first.join(room_id)
    second.join(room_id)
    ann.send(room_id)
    first.take()
    assert second.send("mark_read", roomId=room_id, seq=1)["seq"] == 1
    assert world.cache.zscore(f"chat:read:{room_id}", "bob") == 1
    second.send("leave_room", roomId=room_id)
    second.join(room_id)
    second.close()
    assert first.take() == []
    assert ann.connect().join(room_id)["online"] == ["ann"]


@pytest.mark.parametrize(
    ("activity", "seen_by"),
    [(None, {"ann", "bob"}), ("public", {"ann", "bob", "visitor"}), ("private", {"bob"})],
)
def test_presence_is_visible_according_to_the_activity_status(
    ann: ChatUser, bob: ChatUser, visitor: ChatUser, activity: str | None, seen_by: set[str]
) -> None:
    if activity:
        bob.set_profile(privacy={"activityStatus": activity})
    room_id = ann.create_room("public")
    listeners = {"ann": ann.connect(), "visitor": visitor.connect()}
    for listener in listeners.values():
        listener.join(room_id)
    for listener in listeners.values():
        listener.take()
    joined = bob.connect()
    own = joined.join(room_id)["online"]
    notified = {name for name, listener in listeners.items() if listener.take("presence")}
    listed = {
        name
        for name, person in {"ann": ann, "visitor": visitor}.items()
        if "bob" in person.connect().join(room_id)["online"]
    }
    assert notified == listed == seen_by - {"bob"}
    assert "bob" in own
    joined.close()
    assert {name for name, listener in listeners.items() if listener.take("presence")} == notified


@pytest.mark.parametrize("how", ["leave_room", "close"])
def test_listeners_who_saw_a_user_online_are_notified_when_the_user_goes_offline(
    world: World,
    ann: ChatUser,
    bob: ChatUser,
    visitor: ChatUser,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr("lambdas.chat.people.PROFILE_AGE", 0)
    room_id = ann.create_room("public")
    listeners = ann.connect(), visitor.connect()
    for listener in listeners:
        listener.join(room_id)
    socket = bob.connect()
    socket.join(room_id)
    bob.set_profile(preferences={"privacy": {"showOnlineStatus": False}})
    for listener in listeners:
        listener.take()
    if how == "close":
        socket.close()
    else:
        socket.send("leave_room", roomId=room_id)
    assert [frame["status"] for frame in listeners[0].take()] == ["offline"]
    assert listeners[1].take() == []  # The visitor was never notified that bob was online.
    reconnected = bob.connect()
    reconnected.join(room_id)
    reconnected.close()
    assert listeners[0].take() == []


def test_disconnecting_is_reported_to_clients_whose_join_ack_listed_the_user_as_online(
    ann: ChatUser, bob: ChatUser, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.chat.people.PROFILE_AGE", 0)
    bob.set_profile(preferences={"privacy": {"showOnlineStatus": False}})
    socket, listener = bob.connect(), ann.connect()
    socket.join(room_id)
    bob.set_profile()
    assert listener.join(room_id)["online"] == ["ann", "bob"]
    socket.close()
    assert [frame["status"] for frame in listener.take()] == ["offline"]


def test_connections_can_close_but_joins_fail_while_profiles_cannot_be_read(
    world: World, ann: ChatUser, bob: ChatUser, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        response: Any = {
            "Error": {"Code": "InternalServerError"},
            "ResponseMetadata": {"HTTPStatusCode": 500},
        }
        raise ClientError(response, "BatchGetItem")

    monkeypatch.setattr("lambdas.chat.people.PROFILE_AGE", 0)
    first, second = ann.connect(), bob.connect()
    first.join(room_id)
    second.join(room_id)
    first.take()
    online = {"type": "presence", "roomId": room_id, "userId": "bob", "status": "online"}
    with monkeypatch.context() as outage:
        outage.setattr(ProfileReader, "profiles", fail)
        second.close()
        assert first.take() == [{**online, "status": "offline"}]
        third = bob.connect()
        assert third.send("join_room", roomId=room_id)["code"] == "dependency_unavailable"
        # The client got an error, so the connection must not be in the room.
        assert world.cache.zcard(f"chat:room:{room_id}") == 1
        assert first.take() == []
    third.join(room_id)
    assert first.take() == [online]


def test_a_connection_outlives_its_token_but_not_its_session(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World
) -> None:
    listener = ann.connect()
    listener.join(room_id)
    socket = bob.connect(expires_at=int(time.time()) - 60)
    socket.join(room_id)
    assert socket.send("send_message", roomId=room_id, content="x")["type"] == "ack"
    world.dynamodb.delete_item(TableName="sessions", Key={"session_id": {"S": "session-bob"}})
    socket.take()
    assert socket.send("ping")["code"] == "session_ended"
    assert world.gateway.closed == [socket.connection_id]
    ann.send(room_id)
    assert socket.take() == []


def test_platform_roles_expire_with_the_token(ann: ChatUser, world: World) -> None:
    room_id = ann.create_room("announcement")
    moderator = world.user("mod", roles=("user", "moderator"))
    ok(moderator.call("POST", f"/rooms/{room_id}/join", {}))
    fresh, stale = moderator.connect(), moderator.connect(expires_at=int(time.time()) - 1)
    for socket, outcome in ((fresh, "ack"), (stale, "error")):
        socket.join(room_id)
        assert socket.send("send_message", roomId=room_id, content="x")["type"] == outcome


def test_a_connection_that_api_gateway_reports_as_gone_is_removed_immediately(
    sockets: tuple[Socket, Socket], room_id: str, world: World, cache: redis.Redis
) -> None:
    world.gateway.gone.add(sockets[1].connection_id)
    sockets[0].send("send_message", roomId=room_id, content="x")
    members: Any = cache.zrange(f"chat:room:{room_id}", 0, -1)
    assert [member.partition("|")[0] for member in members] == [sockets[0].connection_id]
    assert not cache.exists(f"chat:connection:{sockets[1].connection_id}")


def test_a_slow_connection_does_not_delay_other_connections_or_the_ack(
    sockets: tuple[Socket, Socket], room_id: str, world: World
) -> None:
    slow, sender = sockets  # the slow connection joined first, so frames are sent to it first
    quick = threading.Semaphore(0)
    post = world.gateway.post

    def post_last(connection_id: str, frame: bytes) -> Any:
        if connection_id == slow.connection_id:
            # Waits until the ack and the message's frame have been sent to the sender.
            for _ in range(2):
                assert quick.acquire(timeout=20), "the slow connection delayed the sender"
            return post(connection_id, frame)
        outcome = post(connection_id, frame)
        quick.release()
        return outcome

    world.gateway.post = post_last  # type: ignore[method-assign]
    sender.send("send_message", roomId=room_id, content="x")
    assert len(slow.take("new_message")) == 1


def test_a_connection_receives_resync_after_a_frame_could_not_be_sent(
    sockets: tuple[Socket, Socket], room_id: str, world: World
) -> None:
    world.gateway.failing.add(sockets[1].connection_id)
    sockets[0].send("send_message", roomId=room_id, content="x")
    assert sockets[1].take() == [{"type": "resync", "roomId": room_id}]


def test_a_connection_expires_unless_it_pings(cache: redis.Redis) -> None:
    now = [1_000_000.0]
    live = LiveRooms(GuardedCache(lambda: cache), clock=lambda: now[0])
    quiet, lively = Connection("quiet", "ann", "s-1"), Connection("lively", "bob", "s-2")
    for connection in (quiet, lively):
        live.connect(connection)
        live.join(connection, "room")
    now[0] += LIFETIME / 2
    assert live.touch(lively)
    now[0] += LIFETIME / 2 + 1
    assert live.connections("room") == [lively]
    assert not live.is_in(quiet, "room")
    assert live.is_in(lively, "room")
    for key in cache.keys("chat:*"):
        assert 0 < cache.ttl(key) <= LIFETIME


def test_clients_can_rejoin_rooms_after_the_cache_is_flushed(
    ann: ChatUser, sockets: tuple[Socket, Socket], room_id: str, cache: redis.Redis
) -> None:
    cache.flushall()
    assert (
        sockets[0].send("send_message", roomId=room_id, content="1", clientMessageId="c")["code"]
        == "not_joined"
    )
    assert sockets[0].send("ping", roomId=room_id)["code"] == "not_joined"
    ann.send(room_id, "1")
    # After the cache is emptied, a client that sends only pings receives a resync frame.
    assert sockets[1].send("ping")["type"] == "ack"
    assert sockets[1].take() == [{"type": "resync"}]
    assert sockets[1].send("ping")["type"] == "ack"
    assert sockets[1].take() == []
    for socket in sockets:
        assert socket.join(room_id)["seq"] == 1
    sockets[0].take()
    sockets[0].send("send_message", roomId=room_id, content="2")
    assert [frame["seq"] for frame in sockets[1].take("new_message")] == [2]


def test_messages_are_stored_and_acknowledged_while_the_cache_is_down(
    ann: ChatUser,
    bob: ChatUser,
    sockets: tuple[Socket, Socket],
    room_id: str,
    cache_down: Callable[[], None],
) -> None:
    cache_down()
    ack = sockets[0].send("send_message", roomId=room_id, content="1", clientMessageId="c")
    assert (ack["type"], ack["seq"]) == ("ack", 1)
    assert ann.send(room_id)["seq"] == 2
    late = bob.connect()
    assert late.send("join_room", roomId=room_id)["code"] == "live_unavailable"
    for action, fields in (("typing_start", {}), ("mark_read", {"seq": 1}), ("leave_room", {})):
        assert sockets[0].send(action, roomId=room_id, **fields)["code"] == "not_joined"
    assert sockets[0].send("ping")["type"] == "ack"
    ok(bob.call("PUT", f"/rooms/{room_id}/messages/{ack['messageId']}/reactions/👍", {}), 204)
    items = document(ok(bob.call("GET", f"/rooms/{room_id}/messages", afterSeq="0")))["items"]
    assert [item["seq"] for item in items] == [1, 2]
    late.close()
    cache_down()
    assert late.send("join_room", roomId=room_id)["seq"] == 2
    ann.send(room_id)
    assert [frame["seq"] for frame in late.take("new_message")] == [3]


def test_messages_of_a_large_room_are_queued(
    ann: ChatUser, room_id: str, sockets: tuple[Socket, Socket], world: World, cache: redis.Redis
) -> None:
    live = LiveRooms(GuardedCache(lambda: cache))
    for index in range(INLINE_LIMIT):
        live.join(Connection(f"more-{index}", "ann", "session-ann"), room_id)
    ack = sockets[0].send("send_message", roomId=room_id, content="x")
    assert ack["type"] == "ack"
    sockets[0].send("typing_start", roomId=room_id)
    assert sockets[1].take() == []
    [record] = world.queued("DELIVERIES_QUEUE_URL")
    assert world.deliver({"Records": [record]}) == {"batchItemFailures": []}
    [frame] = sockets[1].take()
    assert (frame["type"], frame["seq"], frame["message"]["content"]) == ("new_message", 1, "x")
    assert len(world.gateway.frames) == INLINE_LIMIT + 1


def test_tickets_are_issued_to_registered_and_anonymous_users(
    ann: ChatUser, visitor: ChatUser, world: World
) -> None:
    for person in (ann, visitor):
        issued = document(ok(person.call("POST", "/tickets", {}), 201))
        assert (issued.keys(), issued["expiresIn"]) == ({"ticket", "expiresIn"}, 30)
        assert issued["ticket"] not in json.dumps(world.items("tickets"))
    assert {item["display_name"] for item in world.items("tickets")} == {
        "Name of ann",
        "Name of visitor",
    }
