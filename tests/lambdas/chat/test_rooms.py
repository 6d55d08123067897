"""Tests rooms and members, and the permissions in each type of room."""

from __future__ import annotations

from typing import Any

import pytest

from lambdas.common.web.http import Response
from lambdas.common.web.idempotency import Idempotency
from tests.lambdas.chat.conftest import ChatUser, World, ok
from tests.lambdas.support import document, problem, wrong_fields

ROOM = {
    "roomId", "name", "description", "type", "createdBy", "createdAt", "memberCount", "maxMembers",
    "lastActivity", "role", "version",
}  # fmt: skip
MEMBER = {"userId", "displayName", "role", "isMuted", "joinedAt", "version"}


def member(room_id: str, person: ChatUser) -> str:
    return f"/rooms/{room_id}/members/{person.user_id}"


def member_list(room_id: str) -> str:
    return f"/rooms/{room_id}/members"


def invite(inviter: ChatUser, room_id: str, user: ChatUser) -> None:
    ok(inviter.call("POST", f"/rooms/{room_id}/members", {"userId": user.user_id}), 201)


def roles(viewer: ChatUser, room_id: str) -> dict[str, str]:
    page = document(ok(viewer.call("GET", f"/rooms/{room_id}/members")))
    return {item["userId"]: item["role"] for item in page["items"]}


def room(viewer: ChatUser, room_id: str) -> Any:
    return document(ok(viewer.call("GET", f"/rooms/{room_id}")))


def test_the_creator_of_a_room_is_its_owner(ann: ChatUser, world: World) -> None:
    response = ok(
        ann.call("POST", "/rooms", {"name": "Tea", "description": "Hot", "type": "private"}), 201
    )
    created = document(response)
    assert created.keys() == ROOM
    assert response["headers"]["ETag"] == '"1"'
    assert (
        created["createdBy"],
        created["role"],
        created["memberCount"],
        created["maxMembers"],
    ) == (
        "ann",
        "owner",
        1,
        None,
    )
    assert room(ann, created["roomId"]) == created
    [event] = world.events("RoomCreated")
    assert event["actorId"] == "ann"
    assert event["data"] == {"roomId": created["roomId"], "type": "private"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name", "type"}),
        ({"name": "", "type": "secret"}, {"name", "type"}),
        ({"name": "x" * 101, "type": "public", "maxMembers": 1}, {"name", "maxMembers"}),
        ({"name": " x", "type": "public", "color": "red"}, {"name", "color"}),
        ({"name": "x", "type": "group", "maxMembers": 51}, {"maxMembers"}),
        ({"name": "x", "type": "direct", "maxMembers": 3}, {"maxMembers"}),
    ],
)
def test_an_error_names_every_invalid_field(ann: ChatUser, body: Any, fields: set[str]) -> None:
    assert wrong_fields(problem(ann.call("POST", "/rooms", body), 422)) == fields


def test_the_list_contains_own_rooms_before_public_rooms(ann: ChatUser, bob: ChatUser) -> None:
    own = {ann.create_room("private"), ann.create_room("public"), ann.create_room("group")}
    public = {bob.create_room("public") for _ in range(3)}
    bob.create_room("private")
    bob.create_room("announcement")
    listed: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        page = document(ok(ann.call("GET", "/rooms", limit="2", **cursor)))
        listed += [item["roomId"] for item in page["items"]]
        cursor = {"cursor": page["nextCursor"]}
    assert page["nextCursor"] is None
    assert set(listed[:3]) == own
    assert set(listed[3:]) == public
    assert len(listed) == 6
    [private] = document(ok(ann.call("GET", "/rooms", type="private")))["items"]
    assert private["roomId"] in own
    assert {
        item["role"] for item in document(ok(ann.call("GET", "/rooms", type="public")))["items"]
    } == {"owner", None}
    problem(ann.call("GET", "/rooms", type="secret"), 422)
    problem(bob.call("GET", "/rooms", cursor="made-up"), 400)


@pytest.mark.parametrize("type_", ["private", "direct", "group", "announcement"])
def test_only_members_see_a_room_that_is_not_public(
    ann: ChatUser, bob: ChatUser, type_: str
) -> None:
    room_id = ann.create_room(type_)
    for path in ("", "/members", "/messages"):
        problem(bob.call("GET", f"/rooms/{room_id}{path}"), 403, "not_a_member")
    public = ann.create_room("public")
    for path in ("", "/members", "/messages"):
        ok(bob.call("GET", f"/rooms/{public}{path}"))


def test_an_unknown_room_returns_404(ann: ChatUser) -> None:
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/join"),
        ("GET", "/messages"),
        ("DELETE", "/leave"),
    ):
        problem(ann.call(method, f"/rooms/nowhere{path}"), 404, "room_not_found")
    # The key of a counter item in the rooms table is not the id of a room.
    problem(ann.call("GET", f"/rooms/{ann.create_room()}%23seq"), 404)


def test_joining_a_public_room_twice_adds_one_member(
    ann: ChatUser, bob: ChatUser, world: World
) -> None:
    room_id = ann.create_room("public")
    for _ in range(2):
        joined = document(ok(bob.call("POST", f"/rooms/{room_id}/join", {})))
        assert (joined["role"], joined["memberCount"]) == ("member", 2)
    assert roles(ann, room_id) == {"ann": "owner", "bob": "member"}
    [event] = world.events("MemberJoined")
    assert event["data"] == {"roomId": room_id, "userId": "bob", "role": "member"}
    ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    assert room(ann, room_id)["memberCount"] == 1
    [event] = world.events("MemberLeft")
    assert event["data"] == {"roomId": room_id, "userId": "bob", "reason": "left"}
    problem(bob.call("DELETE", f"/rooms/{room_id}/leave"), 403)


def test_private_rooms_require_an_invitation(ann: ChatUser, bob: ChatUser, eve: ChatUser) -> None:
    room_id = ann.create_room("private")
    problem(bob.call("POST", f"/rooms/{room_id}/join", {}), 403, "invitation_required")
    invite(ann, room_id, bob)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert room(bob, room_id)["role"] == "member"
    # Only moderators invite users to a private room.
    problem(bob.call("POST", f"/rooms/{room_id}/members", {"userId": "eve"}), 403)
    ok(ann.call("PATCH", member(room_id, bob), {"role": "moderator"}))
    invite(bob, room_id, eve)
    invite(bob, room_id, eve)
    assert room(eve, room_id)["memberCount"] == 3


def test_a_group_has_at_most_fifty_members(ann: ChatUser, bob: ChatUser, world: World) -> None:
    room_id = ann.create_room("group")
    assert room(ann, room_id)["maxMembers"] == 50
    problem(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 51}), 422)
    invite(ann, room_id, bob)
    for index in range(48):
        invite(bob, room_id, world.user(f"user-{index}"))
    world.user("one-more")
    response = bob.call("POST", f"/rooms/{room_id}/members", {"userId": "one-more"})
    problem(response, 409, "room_full")
    assert room(ann, room_id)["memberCount"] == 50


def test_only_users_with_a_profile_can_be_invited(
    ann: ChatUser, visitor: ChatUser, world: World
) -> None:
    room_id = ann.create_room("public")
    world.dynamodb.put_item(
        TableName="profiles", Item={"user_id": {"S": "counted"}, "posts_count": {"N": "1"}}
    )
    for user_id in ("gone", "counted", visitor.user_id):
        response = ann.call("POST", f"/rooms/{room_id}/members", {"userId": user_id})
        problem(response, 404, "user_not_found")
    assert roles(ann, room_id) == {"ann": "owner"}


def test_users_who_refuse_direct_messages_keep_their_existing_direct_rooms(
    ann: ChatUser, bob: ChatUser, eve: ChatUser
) -> None:
    old, new = ann.create_room("direct"), ann.create_room("direct")
    invite(ann, old, bob)
    for person in (bob, eve):
        person.set_profile(preferences={"theme": "auto", "privacy": {"allowDirectMessages": False}})
    response = ann.call("POST", f"/rooms/{new}/members", {"userId": "eve"})
    problem(response, 403, "direct_messages_refused")
    # Inviting the other user to the existing room again has no effect. Inviting them to a new room
    # returns an error with the id of the existing room.
    invite(ann, old, bob)
    error = problem(ann.call("POST", f"/rooms/{new}/members", {"userId": "bob"}), 409)
    assert (error["code"], error["roomId"]) == ("direct_room_exists", old)
    for type_ in ("private", "group", "announcement"):
        response = ann.call("POST", member_list(ann.create_room(type_)), {"userId": "eve"})
        problem(response, 403, "direct_messages_refused")
    # `allowDirectMessages` does not apply to public rooms, or to users who already have a direct
    # room together.
    invite(ann, ann.create_room("public"), eve)
    invite(ann, ann.create_room("group"), bob)
    eve.set_profile()
    invite(ann, new, eve)


def test_a_full_room_rejects_users_until_a_member_leaves(
    ann: ChatUser, bob: ChatUser, eve: ChatUser
) -> None:
    room_id = ann.create_room("public", maxMembers=2)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(eve.call("POST", f"/rooms/{room_id}/join", {}), 409, "room_full")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert problem(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 3, "name": ""}), 422)
    ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    ok(eve.call("POST", f"/rooms/{room_id}/join", {}))
    ok(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 3}))
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 2}), 409, "room_full")


def test_two_users_have_at_most_one_direct_room(
    ann: ChatUser, bob: ChatUser, eve: ChatUser
) -> None:
    first, second = ann.create_room("direct"), bob.create_room("direct")
    invite(ann, first, bob)
    problem(ann.call("POST", f"/rooms/{first}/members", {"userId": "eve"}), 409)
    error = problem(bob.call("POST", f"/rooms/{second}/members", {"userId": "ann"}), 409)
    assert (error["code"], error["roomId"]) == ("direct_room_exists", first)
    problem(bob.call("POST", f"/rooms/{first}/members", {"userId": "eve"}), 403)
    ok(bob.call("DELETE", f"/rooms/{first}/leave"), 204)
    invite(bob, second, ann)
    ok(bob.call("DELETE", f"/rooms/{second}"), 204)
    invite(ann, first, bob)
    problem(eve.call("POST", f"/rooms/{first}/join", {}), 403)


def test_only_moderators_can_send_messages_in_announcement_rooms(
    ann: ChatUser, bob: ChatUser
) -> None:
    room_id = ann.create_room("announcement")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(
        bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403, "moderators_only"
    )
    ann.send(room_id)
    ok(ann.call("PATCH", member(room_id, bob), {"role": "moderator"}))
    bob.send(room_id)


def test_anonymous_users_chat_in_public_rooms_only(ann: ChatUser, visitor: ChatUser) -> None:
    ok(visitor.call("POST", f"/rooms/{ann.create_room('public')}/join", {}))
    assert problem(visitor.call("POST", "/rooms", {"name": "x", "type": "public"}), 403)
    response = visitor.call("POST", f"/rooms/{ann.create_room('announcement')}/join", {})
    problem(response, 403, "anonymous_not_allowed")


def test_the_owner_must_transfer_the_room_before_leaving(ann: ChatUser, bob: ChatUser) -> None:
    room_id = ann.create_room("public")
    problem(ann.call("DELETE", f"/rooms/{room_id}/leave"), 409, "owner_cannot_leave")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(bob.call("PATCH", member(room_id, bob), {"role": "owner"}), 403)
    ok(ann.call("PATCH", member(room_id, bob), {"role": "owner"}))
    assert roles(ann, room_id) == {"ann": "admin", "bob": "owner"}
    ok(ann.call("DELETE", f"/rooms/{room_id}/leave"), 204)


def test_members_can_change_only_members_with_lower_roles(
    ann: ChatUser, bob: ChatUser, eve: ChatUser, world: World
) -> None:
    room_id = ann.create_room("public")
    dan = world.user("dan")
    for person in (bob, eve, dan):
        ok(person.call("POST", f"/rooms/{room_id}/join", {}))
    ok(ann.call("PATCH", member(room_id, bob), {"role": "admin"}))
    assert (
        document(ok(bob.call("PATCH", member(room_id, eve), {"role": "moderator"})))["role"]
        == "moderator"
    )
    problem(bob.call("PATCH", member(room_id, eve), {"role": "admin"}), 403)
    problem(eve.call("PATCH", member(room_id, bob), {"mute": True}), 403)
    problem(eve.call("PATCH", member(room_id, dan), {"role": "moderator"}), 403)
    problem(eve.call("DELETE", member(room_id, ann)), 403)
    problem(dan.call("DELETE", member(room_id, eve)), 403)
    problem(dan.call("PATCH", f"/rooms/{room_id}", {"name": "Mine"}), 403)
    problem(bob.call("DELETE", f"/rooms/{room_id}"), 403)
    ok(bob.call("PATCH", f"/rooms/{room_id}", {"name": "Ours"}))
    ok(eve.call("DELETE", member(room_id, dan)), 204)
    assert roles(ann, room_id) == {"ann": "owner", "bob": "admin", "eve": "moderator"}
    assert world.events("MemberLeft")[0]["data"]["reason"] == "removed"
    problem(ann.call("DELETE", member(room_id, dan)), 404)
    problem(ann.call("PATCH", member(room_id, dan), {"role": "member"}), 404)


def test_muted_members_can_read_but_not_write(ann: ChatUser, bob: ChatUser) -> None:
    room_id = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert document(ok(ann.call("PATCH", member(room_id, bob), {"mute": True})))["isMuted"] is True
    problem(bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403, "muted")
    ok(bob.call("GET", f"/rooms/{room_id}/messages"))
    ok(ann.call("PATCH", member(room_id, bob), {"mute": False}))
    bob.send(room_id)


def test_banned_users_lose_access_and_cannot_return(
    ann: ChatUser, bob: ChatUser, eve: ChatUser
) -> None:
    room_id = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    for person in (bob, eve):  # bob is a member, and eve never joined
        assert (
            document(ok(ann.call("PATCH", member(room_id, person), {"ban": True})))["role"]
            == "banned"
        )
        for method, path in (
            ("POST", "/join"),
            ("GET", ""),
            ("GET", "/messages"),
            ("GET", "/members"),
        ):
            problem(person.call(method, f"/rooms/{room_id}{path}"), 403, "banned")
        response = ann.call("POST", f"/rooms/{room_id}/members", {"userId": person.user_id})
        problem(response, 403, "banned")
    assert roles(ann, room_id) == {"ann": "owner"}
    assert room(ann, room_id)["memberCount"] == 1
    assert document(ok(bob.call("GET", "/rooms")))["items"] == []
    assert document(ok(ann.call("PATCH", member(room_id, bob), {"ban": False})))["role"] is None
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(ann.call("PATCH", member(room_id, ann), {"ban": True}), 403)


def test_platform_moderators_can_moderate_only_public_rooms(
    ann: ChatUser, bob: ChatUser, world: World
) -> None:
    room_id, private = ann.create_room("public"), ann.create_room("private")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    moderator = world.user("mod", roles=("user", "moderator"))
    ok(moderator.call("PATCH", member(room_id, bob), {"ban": True}))
    problem(moderator.call("PATCH", member(room_id, ann), {"ban": True}), 403)
    problem(moderator.call("GET", f"/rooms/{private}"), 403)


def test_a_change_with_an_outdated_if_match_returns_412(ann: ChatUser, bob: ChatUser) -> None:
    room_id = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    response = ok(
        ann.call("PATCH", f"/rooms/{room_id}", {"name": "Two"}, headers={"If-Match": '"1"'})
    )
    assert (document(response)["version"], document(response)["description"]) == (2, "")
    problem(
        ann.call("PATCH", f"/rooms/{room_id}", {"name": "Three"}, headers={"If-Match": '"1"'}), 412
    )
    ok(ann.call("PATCH", member(room_id, bob), {"mute": True}, headers={"If-Match": '"1"'}))
    problem(
        ann.call("PATCH", member(room_id, bob), {"mute": False}, headers={"If-Match": '"1"'}), 412
    )


def test_a_deleted_room_returns_404(ann: ChatUser, bob: ChatUser, world: World) -> None:
    room_id = ann.create_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    problem(bob.call("GET", f"/rooms/{room_id}"), 404)
    assert world.items("rooms") == []
    assert document(ok(bob.call("GET", "/rooms")))["items"] == []


def test_members_are_listed_in_pages(ann: ChatUser, world: World) -> None:
    room_id = ann.create_room("public")
    for index in range(4):
        ok(world.user(f"user-{index}").call("POST", f"/rooms/{room_id}/join", {}))
    first = document(ok(ann.call("GET", f"/rooms/{room_id}/members", limit="3")))
    assert {item.keys() >= MEMBER for item in first["items"]} == {True}
    second = document(
        ok(ann.call("GET", f"/rooms/{room_id}/members", limit="3", cursor=first["nextCursor"]))
    )
    assert [item["userId"] for item in first["items"] + second["items"]] == [
        "ann",
        *(f"user-{i}" for i in range(4)),
    ]
    assert second["nextCursor"] is None


def test_names_of_members_come_from_profiles(ann: ChatUser, bob: ChatUser, world: World) -> None:
    def profile(user_id: str, visibility: str) -> None:
        item = {
            "user_id": {"S": user_id},
            "display_name": {"S": f"{user_id} in the profile"},
            "privacy": {"M": {"displayName": {"S": visibility}}},
        }
        world.dynamodb.put_item(TableName="profiles", Item=item)  # type: ignore[arg-type]

    profile("ann", "authenticated")
    profile("bob", "private")
    room_id = ann.create_room("private")
    invite(ann, room_id, bob)
    names = {
        m["userId"]: m["displayName"]
        for m in document(ok(bob.call("GET", f"/rooms/{room_id}/members")))["items"]
    }
    assert names == {"ann": "ann in the profile", "bob": "bob in the profile"}
    names = {
        m["userId"]: m["displayName"]
        for m in document(ok(ann.call("GET", f"/rooms/{room_id}/members")))["items"]
    }
    assert names["bob"] == "Someone"


def test_a_repeated_request_creates_one_room(ann: ChatUser, world: World) -> None:
    key = {"Idempotency-Key": "once"}
    responses = [
        ann.call("POST", "/rooms", {"name": "x", "type": "public"}, headers=key) for _ in range(2)
    ]
    assert document(responses[0]) == document(responses[1])
    assert len(world.events("RoomCreated")) == 1
    problem(ann.call("POST", "/rooms", {"name": "y", "type": "public"}, headers=key), 409)


def test_a_function_killed_after_its_write_does_not_cause_a_second_room(
    ann: ChatUser, world: World
) -> None:
    def lose_response(
        idempotency: Idempotency, record: str, attempt: str, _: Response[Any]
    ) -> None:
        idempotency._end_lease(record, attempt)

    key, room = {"Idempotency-Key": "once"}, {"name": "x", "type": "private"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Idempotency, "_complete", lose_response)
        first = document(ann.call("POST", "/rooms", room, headers=key))
    assert document(ann.call("POST", "/rooms", room, headers=key)) == first
    assert len(world.events("RoomCreated")) == 1


def test_a_room_is_not_created_twice_with_one_id(
    world: World, ann: ChatUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write of an earlier attempt can complete after the next attempt began."""
    monkeypatch.setattr("lambdas.common.web.http.new_id", lambda: "0" * 32)
    room_id = ann.create_room()
    ann.send(room_id)
    assert ann.create_room() == room_id
    assert ann.send(room_id)["seq"] == 2
    assert len(world.events("RoomCreated")) == 1
