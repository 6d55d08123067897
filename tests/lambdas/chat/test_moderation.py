"""Tests mutes and bans, also of users who left, and rooms in which only moderators can send."""

from __future__ import annotations

from typing import Any

import pytest

from lambdas.common.live.chat_messages import counts_id, reactions_id
from tests.lambdas.chat.conftest import ChatUser, World, ok
from tests.lambdas.support import document, problem, wrong_fields


@pytest.fixture
def room_id(ann: ChatUser, bob: ChatUser) -> str:
    """A public room of ann in which bob is muted."""
    id_ = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{id_}/join", {}))
    set_member(ann, id_, mute=True)
    return id_


def set_member(moderator: ChatUser, room_id: str, **changes: Any) -> Any:
    return document(ok(moderator.call("PATCH", f"/rooms/{room_id}/members/bob", changes)))


def leave(ann: ChatUser, bob: ChatUser, room_id: str, how: str) -> None:
    if how == "leaves":
        ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    elif how == "is removed":
        ok(ann.call("DELETE", f"/rooms/{room_id}/members/bob"), 204)
    else:
        set_member(ann, room_id, ban=True)
        set_member(ann, room_id, ban=False)


@pytest.mark.parametrize("how", ["leaves", "is removed", "is banned"])
@pytest.mark.parametrize("returns", ["joins", "is invited"])
def test_a_user_who_returns_after_leaving_is_still_muted(
    ann: ChatUser, bob: ChatUser, room_id: str, how: str, returns: str
) -> None:
    leave(ann, bob, room_id, how)
    assert document(ok(ann.call("GET", f"/rooms/{room_id}")))["memberCount"] == 1
    members = document(ok(ann.call("GET", f"/rooms/{room_id}/members")))["items"]
    assert [item["userId"] for item in members] == ["ann"]
    assert document(ok(bob.call("GET", f"/rooms/{room_id}")))["role"] is None
    # The room is still listed as a public room, but no longer as one of bob's own rooms.
    [listed] = document(ok(bob.call("GET", "/rooms")))["items"]
    assert (listed["roomId"], listed["role"]) == (room_id, None)
    problem(bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403, "not_a_member")
    if returns == "joins":
        assert document(ok(bob.call("POST", f"/rooms/{room_id}/join", {})))["memberCount"] == 2
    else:
        ok(ann.call("POST", f"/rooms/{room_id}/members", {"userId": "bob"}), 201)
    problem(bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403, "muted")
    assert set_member(ann, room_id, mute=False)["isMuted"] is False
    bob.send(room_id)


def test_a_mute_can_be_lifted_after_the_user_left(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World
) -> None:
    leave(ann, bob, room_id, "leaves")
    lifted = set_member(ann, room_id, mute=False)
    assert (lifted["role"], lifted["isMuted"]) == (None, False)
    assert [item["user_id"] for item in world.items("members")] == ["ann"]
    problem(ann.call("PATCH", f"/rooms/{room_id}/members/bob", {"mute": False}), 404)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    bob.send(room_id)


def test_a_former_member_cannot_receive_a_role(ann: ChatUser, bob: ChatUser, room_id: str) -> None:
    leave(ann, bob, room_id, "leaves")
    problem(ann.call("PATCH", f"/rooms/{room_id}/members/bob", {"role": "admin"}), 404)
    problem(ann.call("DELETE", f"/rooms/{room_id}/members/bob"), 404)


def test_a_ban_and_a_mute_can_change_in_one_request(
    ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    set_member(ann, room_id, mute=False)
    banned = set_member(ann, room_id, ban=True, mute=True)
    assert (banned["role"], banned["isMuted"]) == ("banned", True)
    lifted = set_member(ann, room_id, ban=False, mute=False)
    assert (lifted["role"], lifted["isMuted"]) == (None, False)
    set_member(ann, room_id, ban=True)
    muted = set_member(ann, room_id, ban=False, mute=True)
    assert (muted["role"], muted["isMuted"]) == (None, True)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403, "muted")
    # Lifting a ban has no effect if the member is not banned. The other changes take effect.
    changed = set_member(ann, room_id, ban=False, mute=False, role="moderator")
    assert (changed["role"], changed["isMuted"]) == ("moderator", False)


def test_a_user_who_was_never_a_member_can_be_banned_and_muted(
    ann: ChatUser, eve: ChatUser, room_id: str
) -> None:
    path = f"/rooms/{room_id}/members/{eve.user_id}"
    ban = document(ok(ann.call("PATCH", path, {"ban": True, "mute": True})))
    assert (ban["role"], ban["isMuted"]) == ("banned", True)
    problem(eve.call("POST", f"/rooms/{room_id}/join", {}), 403, "banned")
    ok(ann.call("PATCH", path, {"ban": False}))
    ok(eve.call("POST", f"/rooms/{room_id}/join", {}))
    problem(eve.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403, "muted")


def test_a_request_cannot_ban_a_user_and_grant_a_role(ann: ChatUser, room_id: str) -> None:
    path = f"/rooms/{room_id}/members/bob"
    response = ann.call("PATCH", path, {"ban": True, "role": "admin"})
    assert wrong_fields(problem(response, 422)) == {"role"}
    set_member(ann, room_id, ban=True)
    problem(ann.call("PATCH", path, {"ban": False, "role": "admin"}), 404)
    assert document(ok(ann.call("GET", f"{path.rpartition('/')[0]}", role="banned")))["items"]


def test_moderators_list_and_lift_bans(
    ann: ChatUser, bob: ChatUser, eve: ChatUser, room_id: str
) -> None:
    members = f"/rooms/{room_id}/members"
    ok(eve.call("POST", f"/rooms/{room_id}/join", {}))
    set_member(ann, room_id, ban=True)
    [ban] = document(ok(ann.call("GET", members, role="banned")))["items"]
    assert (ban["userId"], ban["displayName"], ban["role"]) == ("bob", "Name of bob", "banned")
    problem(eve.call("GET", members, role="banned"), 403, "role_required")
    problem(ann.call("GET", members, role="former"), 422)
    [owner] = document(ok(ann.call("GET", members, role="owner")))["items"]
    assert owner["userId"] == "ann"
    set_member(ann, room_id, ban=False)
    assert document(ok(ann.call("GET", members, role="banned")))["items"] == []


def test_the_error_for_inviting_a_banned_user_says_that_this_user_is_banned(
    ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    set_member(ann, room_id, ban=True)
    response = ann.call("POST", f"/rooms/{room_id}/members", {"userId": "bob"})
    assert problem(response, 403, "banned")["detail"] == "This user is banned from the room."
    response = bob.call("POST", f"/rooms/{room_id}/join", {})
    assert problem(response, 403, "banned")["detail"] == "You are banned from this room."


@pytest.fixture(params=["muted", "moderators_only"])
def read_only_room(request: pytest.FixtureRequest, ann: ChatUser, bob: ChatUser) -> tuple[str, str]:
    """A room in which bob cannot send messages, and the error code if he tries to send one."""
    code: str = request.param
    id_ = ann.create_room("public" if code == "muted" else "announcement")
    ok(bob.call("POST", f"/rooms/{id_}/join", {}))
    if code == "muted":
        set_member(ann, id_, mute=True)
    return id_, code


def test_users_who_cannot_send_messages_cannot_broadcast_text_by_any_route(
    world: World, ann: ChatUser, bob: ChatUser, read_only_room: tuple[str, str]
) -> None:
    room_id, code = read_only_room
    message_id = ann.send(room_id)["messageId"]
    reactions = f"/rooms/{room_id}/messages/{message_id}/reactions/👍"
    listener, socket = ann.connect(), bob.connect()
    listener.join(room_id)
    socket.join(room_id)
    listener.take()
    bob.set_profile(display_name="Buy my tea")
    problem(bob.call("PUT", reactions, {}), 403, code)
    # Stores a reaction and its count, as if bob had reacted before he lost the permission.
    world.table("messages").put(
        {"message_id": reactions_id(message_id, "bob"), "emojis": {"👍"}, "timestamp": "t"}
    )
    world.table("messages").put({"message_id": counts_id(message_id), "+👍": 1})
    ok(bob.call("DELETE", reactions), 204)
    body = {"content": "x", "isAnonymous": True}
    problem(bob.call("POST", f"/rooms/{room_id}/messages", body), 403, code)
    upload = {"fileName": "a", "contentType": "text/plain", "contentLength": 1}
    problem(bob.call("POST", f"/rooms/{room_id}/attachments", upload), 403, code)
    for action, fields in (("send_message", {"content": "x"}), ("typing_start", {})):
        assert socket.send(action, roomId=room_id, **fields)["code"] == code
    ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    frames = [frame for frame in listener.take() if "displayName" in frame]
    assert [(frame["type"], frame["displayName"]) for frame in frames] == [
        ("reaction", "Someone"),
        ("user_left", "Someone"),
        ("user_joined", "Someone"),
    ]


def test_a_muted_administrator_cannot_rename_the_room(
    ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    set_member(ann, room_id, role="admin")
    for change in ({"name": "Buy my tea"}, {"description": "Buy my tea"}):
        problem(bob.call("PATCH", f"/rooms/{room_id}", change), 403, "muted")
    set_member(ann, room_id, mute=False)
    ok(bob.call("PATCH", f"/rooms/{room_id}", {"name": "Tea"}))


def test_a_muted_user_can_remove_a_reaction(ann: ChatUser, bob: ChatUser) -> None:
    room_id = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    path = f"/rooms/{room_id}/messages/{ann.send(room_id)['messageId']}/reactions/👍"
    ok(bob.call("PUT", path, {}), 204)
    set_member(ann, room_id, mute=True)
    ok(bob.call("DELETE", path), 204)
    [message] = document(ok(ann.call("GET", f"/rooms/{room_id}/messages")))["items"]
    assert message["reactions"] == {}


def test_a_direct_room_stays_for_one_user_if_the_other_leaves(
    ann: ChatUser, bob: ChatUser, world: World
) -> None:
    room_id = ann.create_room("direct")
    ok(ann.call("POST", f"/rooms/{room_id}/members", {"userId": "bob"}), 201)
    ann.send(room_id)
    ok(ann.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    problem(ann.call("GET", f"/rooms/{room_id}/messages"), 403, "not_a_member")
    assert document(ok(ann.call("GET", "/rooms")))["items"] == []
    # Bob keeps the room and its messages, and becomes its owner. He can create another direct
    # room with Ann.
    assert document(ok(bob.call("GET", f"/rooms/{room_id}")))["role"] == "owner"
    assert len(document(ok(bob.call("GET", f"/rooms/{room_id}/messages")))["items"]) == 1
    other_room_id = bob.create_room("direct")
    ok(bob.call("POST", f"/rooms/{other_room_id}/members", {"userId": "ann"}), 201)
    # When Bob also leaves, the room has no members and is deleted.
    ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    problem(bob.call("GET", f"/rooms/{room_id}"), 404)
    assert {item["room_id"] for item in world.items("rooms") if "type" in item} == {other_room_id}


def test_an_author_can_delete_messages_after_leaving(
    ann: ChatUser, bob: ChatUser, eve: ChatUser
) -> None:
    room_id = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    own_messages = [bob.send(room_id), bob.send(room_id, isAnonymous=True), bob.send(room_id)]
    paths = [f"/rooms/{room_id}/messages/{message['messageId']}" for message in own_messages]
    others_path = f"/rooms/{room_id}/messages/{ann.send(room_id)['messageId']}"
    ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    for path in (others_path, f"/rooms/{room_id}/messages/{room_id}-99"):
        problem(bob.call("DELETE", path), 403, "not_a_member")
    problem(eve.call("DELETE", paths[0]), 403, "not_a_member")
    problem(bob.call("PATCH", paths[0], {"content": "x"}), 403, "not_a_member")
    for path in paths[:2]:
        ok(bob.call("DELETE", path), 204)
        problem(bob.call("DELETE", path), 404, "message_not_found")
    set_member(ann, room_id, ban=True)
    ok(bob.call("DELETE", paths[2]), 204)
