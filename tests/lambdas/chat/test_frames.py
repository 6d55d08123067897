"""The WebSocket API: joining, sending, signals, and what happens when the cache, a session or a connection goes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from botocore.exceptions import ClientError, EndpointConnectionError

from lambdas.chat.broadcast import INLINE_LIMIT, Broadcast
from lambdas.common.live.fanout import Delivery
from lambdas.common.live.listeners import LIFETIME, CachedLiveRooms, Connection
from lambdas.common.people.profiles import ProfileReader
from lambdas.common.storage.cache import GuardedCache
from lambdas.common.storage.transactions import Transactions
from tests.lambdas.chat.conftest import FUTURE, Socket, Somebody, World, ok
from tests.lambdas.support import document


@pytest.fixture
def room_id(ann: Somebody, bob: Somebody) -> str:
    """A private room of ann's, with bob."""
    made = ann.make_room("private")
    ok(ann.call("POST", f"/rooms/{made}/members", {"userId": "bob"}), 201)
    return made


@pytest.fixture
def sockets(ann: Somebody, bob: Somebody, room_id: str) -> tuple[Socket, Socket]:
    """One of each, in the room, with nothing unread."""
    joined = ann.connect(), bob.connect()
    for socket in joined:
        socket.join(room_id)
    for socket in joined:
        socket.take()
    return joined


@pytest.fixture
def cache_down(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the cache refuse connections, and come back when called again."""
    monkeypatch.setattr(GuardedCache, "PAUSE", 0.0)
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


def test_two_see_each_others_messages(sockets: tuple[Socket, Socket], room_id: str) -> None:
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


def test_a_message_is_stored_then_acknowledged_then_announced(
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


def test_a_message_that_cannot_be_stored_is_neither_acknowledged_nor_announced(
    sockets: tuple[Socket, Socket], room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(Transactions, "write", fail)
    response = sockets[0].send("send_message", roomId=room_id, content="x")
    assert (response["type"], response["code"]) == ("error", "dependency_unavailable")
    assert sockets[1].take() == []


def test_a_message_is_announced_although_the_sender_is_gone(
    sockets: tuple[Socket, Socket], room_id: str, world: World
) -> None:
    ann, bob = sockets
    world.gateway.gone.add(ann.connection_id)
    frame = {"action": "send_message", "roomId": room_id, "content": "x"}
    ann.invoke("$default", json.dumps(frame))
    assert len(bob.take("new_message")) == 1


def test_rest_writes_reach_listeners(
    ann: Somebody, bob: Somebody, sockets: tuple[Socket, Socket], room_id: str
) -> None:
    said = ann.say(room_id)
    path = f"/rooms/{room_id}/messages/{said['messageId']}"
    ok(bob.call("PUT", f"{path}/reactions/x", {}), 204)
    ok(ann.call("PATCH", path, {"content": "Hi"}), 200)
    ok(bob.call("DELETE", f"{path}/reactions/x"), 204)
    ok(ann.call("DELETE", path), 204)
    for socket in sockets:
        new, added, edited, removed, deleted = socket.take()
        assert (new["type"], new["message"]) == ("new_message", said)
        assert (added["type"], added["userId"], added["emoji"], added["action"], added["count"]) == (
            "reaction", "bob", "x", "added", 1,
        )  # fmt: skip
        assert (edited["type"], edited["message"]["content"], edited["message"]["reactions"]) == (
            "message_updated",
            "Hi",
            {"x": 1},
        )
        assert (removed["action"], removed["count"]) == ("removed", 0)
        assert deleted == {
            "type": "message_deleted",
            "roomId": room_id,
            "messageId": said["messageId"],
            "seq": 1,
        }


def test_joining_tells_where_the_room_is_and_who_is_there(
    ann: Somebody, bob: Somebody, room_id: str
) -> None:
    ann.say(room_id)
    first, second, third = ann.connect(), bob.connect(), bob.connect()
    assert first.join(room_id) == {
        "type": "ack", "requestId": "r", "action": "join_room", "roomId": room_id, "seq": 1, "online": ["ann"],
    }  # fmt: skip
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


def test_joining_a_public_room_makes_a_member(ann: Somebody, bob: Somebody, eve: Somebody) -> None:
    room_id = ann.make_room("public", maxMembers=2)
    listener = ann.connect()
    listener.join(room_id)
    bob.connect().join(room_id)
    assert [frame["type"] for frame in listener.take()] == ["user_joined", "presence"]
    assert eve.connect().send("join_room", roomId=room_id)["code"] == "room_full"
    ok(ann.call("PATCH", f"/rooms/{room_id}/members/eve", {"ban": True}))
    assert eve.connect().send("join_room", roomId=room_id)["code"] == "banned"


def test_those_who_are_no_members_see_nothing(
    eve: Somebody, sockets: tuple[Socket, Socket], room_id: str
) -> None:
    outside = eve.connect()
    assert outside.send("join_room", roomId=room_id)["code"] == "invitation_required"
    for action, more in (
        ("send_message", {"content": "x"}), ("typing_start", {}), ("typing_stop", {}), ("mark_read", {"seq": 1}),
        ("leave_room", {}), ("ping", {}),
    ):  # fmt: skip
        assert outside.send(action, roomId=room_id, **more)["code"] == "not_joined"
    sockets[0].send("send_message", roomId=room_id, content="x")
    assert outside.take() == []
    assert outside.send("join_room", roomId="nowhere")["code"] == "room_not_found"


@pytest.mark.parametrize("how", ["remove", "ban", "leave", "delete"])
def test_whoever_is_out_gets_nothing_from_that_moment(
    ann: Somebody, bob: Somebody, sockets: tuple[Socket, Socket], room_id: str, how: str
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
        ann.say(room_id)
        assert [frame["type"] for frame in sockets[0].take()] == ["user_left", "new_message"]
    assert sockets[1].take() == []
    assert sockets[1].send("send_message", roomId=room_id, content="x")["code"] == "not_joined"
    assert sockets[1].send("join_room", roomId=room_id)["type"] == "error"


def test_a_removal_between_two_looks_at_membership_wins(
    ann: Somebody, bob: Somebody, room_id: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed after the first look, before the connection is in the room: the second look finds out."""
    join = CachedLiveRooms.join

    def removed_first(self: CachedLiveRooms, connection: Connection, room: str) -> None:
        ok(ann.call("DELETE", f"/rooms/{room_id}/members/bob"), 204)
        join(self, connection, room)

    monkeypatch.setattr(CachedLiveRooms, "join", removed_first)
    socket = bob.connect()
    assert socket.send("join_room", roomId=room_id)["code"] == "not_a_member"
    ann.say(room_id)
    assert socket.take() == []


def test_a_repeat_is_stored_once_and_answered_alike(
    sockets: tuple[Socket, Socket], room_id: str
) -> None:
    ann, bob = sockets
    first = ann.send("send_message", roomId=room_id, content="x", clientMessageId="c")
    again = ann.send("send_message", roomId=room_id, content="x", clientMessageId="c")
    assert again == first
    assert len(bob.take()) == 1
    # The same name for a message of somebody else's is another message.
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
        ('{"action": "join_room"}', "invalid_fields"),
        ('{"action": "send_message", "roomId": "r", "content": ""}', "invalid_fields"),
    ],
)
def test_a_wrong_frame_is_an_error_and_no_disconnect(
    ann: Somebody, world: World, text: str, code: str
) -> None:
    socket = ann.connect()
    answer = socket.send_text(text)
    assert answer.keys() >= {"type", "requestId", "code", "message"}
    assert (answer["type"], answer["code"], answer["requestId"]) == ("error", code, None)
    assert socket.send("ping")["type"] == "ack"
    assert world.gateway.closed == []


def test_an_error_carries_the_request_it_answers(ann: Somebody) -> None:
    assert ann.connect().send("shout")["requestId"] == "r"
    answer = ann.connect().send("join_room", roomId="a b", x=1)
    assert (answer["requestId"], {error["field"] for error in answer["errors"]}) == (
        "r",
        {"roomId", "x"},
    )


def test_typing_is_told_to_others_and_not_too_often(
    sockets: tuple[Socket, Socket], room_id: str
) -> None:
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


def test_read_marks_go_forward_and_not_beyond_the_last_message(
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


def test_whoever_writes_anonymously_is_not_seen_typing_or_reading(
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


def test_an_anonymous_user_shows_in_no_signal(
    ann: Somebody, visitor: Somebody, world: World
) -> None:
    room_id = ann.make_room("public")
    ok(visitor.call("POST", f"/rooms/{room_id}/join", {}))
    listener, hidden = ann.connect(), visitor.connect()
    listener.join(room_id)
    assert hidden.join(room_id)["online"] == []  # by ann's default, to those not registered
    hidden.send("typing_start", roomId=room_id)
    said = hidden.send("send_message", roomId=room_id, content="x")
    hidden.send("mark_read", roomId=room_id, seq=1)
    ok(visitor.call("PUT", f"/rooms/{room_id}/messages/{said['messageId']}/reactions/x", {}), 204)
    hidden.close()
    frames = listener.take()
    assert [frame["type"] for frame in frames] == ["new_message", "reaction"]
    assert "visitor" not in json.dumps(frames)


def test_the_muted_send_nothing_live(
    ann: Somebody, sockets: tuple[Socket, Socket], room_id: str
) -> None:
    ok(ann.call("PATCH", f"/rooms/{room_id}/members/bob", {"mute": True}))
    for action, more in (("send_message", {"content": "x"}), ("typing_start", {})):
        assert sockets[1].send(action, roomId=room_id, **more)["code"] == "muted"
    assert sockets[0].take() == []


def test_whoever_does_not_show_being_online_or_reading_is_not_told_of(
    world: World, ann: Somebody, bob: Somebody, room_id: str
) -> None:
    bob.set_profile(preferences={"privacy": {"showOnlineStatus": False, "showReadReceipts": False}})
    first, second = ann.connect(), bob.connect()
    first.join(room_id)
    second.join(room_id)
    ann.say(room_id)
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
def test_presence_follows_the_activity_status(
    ann: Somebody, bob: Somebody, visitor: Somebody, activity: str | None, seen_by: set[str]
) -> None:
    if activity:
        bob.set_profile(privacy={"activityStatus": activity})
    room_id = ann.make_room("public")
    listeners = {"ann": ann.connect(), "visitor": visitor.connect()}
    for listener in listeners.values():
        listener.join(room_id)
    for listener in listeners.values():
        listener.take()
    joined = bob.connect()
    own = joined.join(room_id)["online"]
    told = {name for name, listener in listeners.items() if listener.take("presence")}
    again = {
        name
        for name, person in {"ann": ann, "visitor": visitor}.items()
        if "bob" in person.connect().join(room_id)["online"]
    }
    assert told == again == seen_by - {"bob"}
    assert "bob" in own
    joined.close()
    assert {name for name, listener in listeners.items() if listener.take("presence")} == told


@pytest.mark.parametrize("how", ["leave_room", "close"])
def test_whoever_was_shown_online_is_shown_offline_whatever_they_show_by_then(
    world: World,
    ann: Somebody,
    bob: Somebody,
    visitor: Somebody,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr("lambdas.chat.people.PROFILE_AGE", 0)
    room_id = ann.make_room("public")
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
    assert listeners[1].take() == []  # nor was a visitor told that bob had come
    again = bob.connect()
    again.join(room_id)
    again.close()
    assert listeners[0].take() == []


def test_whoever_is_shown_online_in_the_answer_to_joining_is_shown_offline(
    ann: Somebody, bob: Somebody, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.chat.people.PROFILE_AGE", 0)
    bob.set_profile(preferences={"privacy": {"showOnlineStatus": False}})
    socket, listener = bob.connect(), ann.connect()
    socket.join(room_id)
    bob.set_profile()
    assert listener.join(room_id)["online"] == ["ann", "bob"]
    socket.close()
    assert [frame["status"] for frame in listener.take()] == ["offline"]


def test_without_profiles_a_connection_ends_and_none_begins(
    world: World, ann: Somebody, bob: Somebody, room_id: str, monkeypatch: pytest.MonkeyPatch
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
        # Its client is told that it has not joined, and so it has not.
        assert world.cache.zcard(f"chat:room:{room_id}") == 1
        assert first.take() == []
    third.join(room_id)
    assert first.take() == [online]


def test_an_expired_token_ends_nothing_and_an_ended_session_everything(
    ann: Somebody, bob: Somebody, room_id: str, world: World
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
    ann.say(room_id)
    assert socket.take() == []


def test_a_role_of_the_platform_ends_with_its_token(ann: Somebody, world: World) -> None:
    room_id = ann.make_room("announcement")
    moderator = world.somebody("mod", roles=("user", "moderator"))
    ok(moderator.call("POST", f"/rooms/{room_id}/join", {}))
    fresh, stale = moderator.connect(), moderator.connect(expires_at=int(time.time()) - 1)
    for socket, outcome in ((fresh, "ack"), (stale, "error")):
        socket.join(room_id)
        assert socket.send("send_message", roomId=room_id, content="x")["type"] == outcome


def test_a_connection_that_is_gone_is_forgotten_at_once(
    sockets: tuple[Socket, Socket], room_id: str, world: World, cache: redis.Redis
) -> None:
    world.gateway.gone.add(sockets[1].connection_id)
    sockets[0].send("send_message", roomId=room_id, content="x")
    members: Any = cache.zrange(f"chat:room:{room_id}", 0, -1)
    assert [member.partition("|")[0] for member in members] == [sockets[0].connection_id]
    assert not cache.exists(f"chat:connection:{sockets[1].connection_id}")


def test_a_slow_connection_delays_no_other_and_not_the_ack(
    sockets: tuple[Socket, Socket], room_id: str, world: World
) -> None:
    world.gateway.slow[sockets[1].connection_id] = 0.5
    arrived: list[float] = []
    post = world.gateway.post

    def timed(connection_id: str, frame: bytes) -> Any:
        outcome = post(connection_id, frame)
        arrived.append(time.monotonic())
        return outcome

    world.gateway.post = timed  # type: ignore[method-assign]
    begun = time.monotonic()
    sockets[0].send("send_message", roomId=room_id, content="x")
    quick = [at - begun for at in arrived if at - begun < 0.4]
    assert len(quick) == 2  # the ack, and the frame of the quick connection
    assert len(sockets[1].take("new_message")) == 1


def test_a_connection_that_could_not_be_reached_is_told_to_look(
    sockets: tuple[Socket, Socket], room_id: str, world: World
) -> None:
    world.gateway.failing.add(sockets[1].connection_id)
    sockets[0].send("send_message", roomId=room_id, content="x")
    assert sockets[1].take() == [{"type": "resync", "roomId": room_id}]


def test_a_half_open_connection_ends_by_itself_unless_it_pings(cache: redis.Redis) -> None:
    now = [1_000_000.0]
    live = CachedLiveRooms(GuardedCache(lambda: cache), clock=lambda: now[0])
    quiet, lively = Connection("quiet", "ann"), Connection("lively", "bob")
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


def test_after_the_cache_lost_everything_clients_join_again(
    ann: Somebody, sockets: tuple[Socket, Socket], room_id: str, cache: redis.Redis
) -> None:
    cache.flushall()
    assert (
        sockets[0].send("send_message", roomId=room_id, content="1", clientMessageId="c")["code"]
        == "not_joined"
    )
    assert sockets[0].send("ping", roomId=room_id)["code"] == "not_joined"
    ann.say(room_id, "1")
    # One that only listens learns of it by its ping.
    assert sockets[1].send("ping")["type"] == "ack"
    assert sockets[1].take() == [{"type": "resync"}]
    assert sockets[1].send("ping")["type"] == "ack"
    assert sockets[1].take() == []
    for socket in sockets:
        assert socket.join(room_id)["seq"] == 1
    sockets[0].take()
    sockets[0].send("send_message", roomId=room_id, content="2")
    assert [frame["seq"] for frame in sockets[1].take("new_message")] == [2]


def test_without_the_cache_messages_are_stored_and_acknowledged(
    ann: Somebody,
    bob: Somebody,
    sockets: tuple[Socket, Socket],
    room_id: str,
    cache_down: Callable[[], None],
) -> None:
    cache_down()
    ack = sockets[0].send("send_message", roomId=room_id, content="1", clientMessageId="c")
    assert (ack["type"], ack["seq"]) == ("ack", 1)
    assert ann.say(room_id)["seq"] == 2
    late = bob.connect()
    assert late.send("join_room", roomId=room_id)["code"] == "live_unavailable"
    for action, more in (("typing_start", {}), ("mark_read", {"seq": 1}), ("leave_room", {})):
        assert sockets[0].send(action, roomId=room_id, **more)["code"] == "not_joined"
    assert sockets[0].send("ping")["type"] == "ack"
    ok(bob.call("PUT", f"/rooms/{room_id}/messages/{ack['messageId']}/reactions/x", {}), 204)
    items = document(ok(bob.call("GET", f"/rooms/{room_id}/messages", afterSeq="0")))["items"]
    assert [item["seq"] for item in items] == [1, 2]
    late.close()
    cache_down()
    assert late.send("join_room", roomId=room_id)["seq"] == 2
    ann.say(room_id)
    assert [frame["seq"] for frame in late.take("new_message")] == [3]


def test_a_big_room_goes_through_the_queue(
    ann: Somebody, room_id: str, sockets: tuple[Socket, Socket], world: World, cache: redis.Redis
) -> None:
    live = CachedLiveRooms(GuardedCache(lambda: cache))
    for index in range(INLINE_LIMIT):
        live.join(Connection(f"more-{index}", f"user-{index}"), room_id)
    ack = sockets[0].send("send_message", roomId=room_id, content="x")
    assert ack["type"] == "ack"
    sockets[0].send("typing_start", roomId=room_id)
    assert sockets[1].take() == []
    [record] = world.queued("DELIVERIES_QUEUE_URL")
    assert world.deliver({"Records": [record]}) == {"batchItemFailures": []}
    [frame] = sockets[1].take()
    assert (frame["type"], frame["seq"], frame["message"]["content"]) == ("new_message", 1, "x")
    assert len(world.gateway.frames) == INLINE_LIMIT + 1
    assert FUTURE


def test_tickets_are_issued_to_whoever_may_chat(
    ann: Somebody, visitor: Somebody, world: World
) -> None:
    for person in (ann, visitor):
        made = document(ok(person.call("POST", "/tickets", {}), 201))
        assert (made.keys(), made["expiresIn"]) == ({"ticket", "expiresIn"}, 30)
        assert made["ticket"] not in json.dumps(world.items("tickets"))
    assert {item["display_name"] for item in world.items("tickets")} == {
        "Name of ann",
        "Name of visitor",
    }
