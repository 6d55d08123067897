"""Rooms and members: who may do what, in each type of room."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lambdas.chat.conftest import Somebody, World, ok
from tests.lambdas.support import document, problem, wrong_fields

ROOM = {
    "roomId", "name", "description", "type", "createdBy", "createdAt", "memberCount", "maxMembers", "lastActivity", "role", "version",
}  # fmt: skip
MEMBER = {"userId", "displayName", "role", "isMuted", "joinedAt", "version"}


def member(room_id: str, person: Somebody) -> str:
    return f"/rooms/{room_id}/members/{person.user_id}"


def invite(by: Somebody, room_id: str, whom: Somebody) -> None:
    ok(by.call("POST", f"/rooms/{room_id}/members", {"userId": whom.user_id}), 201)


def roles(viewer: Somebody, room_id: str) -> dict[str, str]:
    page = document(ok(viewer.call("GET", f"/rooms/{room_id}/members")))
    return {item["userId"]: item["role"] for item in page["items"]}


def room(viewer: Somebody, room_id: str) -> Any:
    return document(ok(viewer.call("GET", f"/rooms/{room_id}")))


def test_a_room_is_made_with_its_owner_in_it(ann: Somebody, world: World) -> None:
    answer = ok(
        ann.call("POST", "/rooms", {"name": "Tea", "description": "Hot", "type": "private"}), 201
    )
    made = document(answer)
    assert made.keys() == ROOM
    assert answer["headers"]["ETag"] == '"1"'
    assert (made["createdBy"], made["role"], made["memberCount"], made["maxMembers"]) == (
        "ann",
        "owner",
        1,
        None,
    )
    assert room(ann, made["roomId"]) == made
    [event] = world.events("RoomCreated")
    assert (event["actorId"], event["data"]["roomId"]) == ("ann", made["roomId"])


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
def test_every_wrong_field_is_named(ann: Somebody, body: Any, fields: set[str]) -> None:
    assert wrong_fields(problem(ann.call("POST", "/rooms", body), 422)) == fields


def test_lists_have_ones_own_rooms_first_and_then_public_ones(ann: Somebody, bob: Somebody) -> None:
    own = {ann.make_room("private"), ann.make_room("public"), ann.make_room("group")}
    public = {bob.make_room("public") for _ in range(3)}
    bob.make_room("private")
    bob.make_room("announcement")
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        page = document(ok(ann.call("GET", "/rooms", limit="2", **cursor)))
        seen += [item["roomId"] for item in page["items"]]
        cursor = {"cursor": page["nextCursor"]}
    assert page["nextCursor"] is None
    assert set(seen[:3]) == own
    assert set(seen[3:]) == public
    assert len(seen) == 6
    [private] = document(ok(ann.call("GET", "/rooms", type="private")))["items"]
    assert private["roomId"] in own
    assert {
        item["role"] for item in document(ok(ann.call("GET", "/rooms", type="public")))["items"]
    } == {"owner", None}
    problem(ann.call("GET", "/rooms", type="secret"), 422)
    problem(bob.call("GET", "/rooms", cursor="made-up"), 400)


@pytest.mark.parametrize("type_", ["private", "direct", "group", "announcement"])
def test_only_members_see_a_room_that_is_not_public(
    ann: Somebody, bob: Somebody, type_: str
) -> None:
    room_id = ann.make_room(type_)
    for path in ("", "/members", "/messages"):
        assert problem(bob.call("GET", f"/rooms/{room_id}{path}"), 403)["code"] == "not_a_member"
    public = ann.make_room("public")
    for path in ("", "/members", "/messages"):
        ok(bob.call("GET", f"/rooms/{public}{path}"))


def test_what_is_not_there_is_404(ann: Somebody) -> None:
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/join"),
        ("GET", "/messages"),
        ("DELETE", "/leave"),
    ):
        assert problem(ann.call(method, f"/rooms/nowhere{path}"), 404)["code"] == "room_not_found"
    # Counters stand beside rooms, and are none.
    problem(ann.call("GET", f"/rooms/{ann.make_room()}%23seq"), 404)


def test_people_join_public_rooms_themselves_once(
    ann: Somebody, bob: Somebody, world: World
) -> None:
    room_id = ann.make_room("public")
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


def test_private_rooms_are_joined_by_invitation(
    ann: Somebody, bob: Somebody, eve: Somebody
) -> None:
    room_id = ann.make_room("private")
    assert (
        problem(bob.call("POST", f"/rooms/{room_id}/join", {}), 403)["code"]
        == "invitation_required"
    )
    invite(ann, room_id, bob)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert room(bob, room_id)["role"] == "member"
    # Members invite nobody to a private room; its moderators do.
    problem(bob.call("POST", f"/rooms/{room_id}/members", {"userId": "eve"}), 403)
    ok(ann.call("PATCH", member(room_id, bob), {"role": "moderator"}))
    invite(bob, room_id, eve)
    invite(bob, room_id, eve)
    assert room(eve, room_id)["memberCount"] == 3


def test_members_of_a_group_invite_up_to_fifty(ann: Somebody, bob: Somebody, world: World) -> None:
    room_id = ann.make_room("group")
    assert room(ann, room_id)["maxMembers"] == 50
    problem(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 51}), 422)
    invite(ann, room_id, bob)
    for index in range(48):
        invite(bob, room_id, world.somebody(f"user-{index}"))
    world.somebody("one-more")
    answer = bob.call("POST", f"/rooms/{room_id}/members", {"userId": "one-more"})
    assert problem(answer, 409)["code"] == "room_full"
    assert room(ann, room_id)["memberCount"] == 50


def test_nobody_is_invited_who_is_nobody(ann: Somebody, visitor: Somebody, world: World) -> None:
    room_id = ann.make_room("public")
    world.dynamodb.put_item(
        TableName="profiles", Item={"user_id": {"S": "counted"}, "posts_count": {"N": "1"}}
    )
    for user_id in ("gone", "counted", visitor.user_id):
        answer = ann.call("POST", f"/rooms/{room_id}/members", {"userId": user_id})
        assert problem(answer, 404)["code"] == "user_not_found"
    assert roles(ann, room_id) == {"ann": "owner"}


def test_whoever_takes_no_direct_messages_is_in_no_new_direct_room(
    ann: Somebody, bob: Somebody, eve: Somebody
) -> None:
    old, new = ann.make_room("direct"), ann.make_room("direct")
    invite(ann, old, bob)
    for person in (bob, eve):
        person.set_profile(preferences={"theme": "auto", "privacy": {"allowDirectMessages": False}})
    answer = ann.call("POST", f"/rooms/{new}/members", {"userId": "eve"})
    assert problem(answer, 403)["code"] == "direct_messages_refused"
    # What the two have already stays: the same invitation, and the way to the room they have.
    invite(ann, old, bob)
    found = problem(ann.call("POST", f"/rooms/{new}/members", {"userId": "bob"}), 409)
    assert (found["code"], found["roomId"]) == ("direct_room_exists", old)
    invite(ann, ann.make_room("private"), eve)
    eve.set_profile()
    invite(ann, new, eve)


def test_a_full_room_takes_nobody_until_somebody_leaves(
    ann: Somebody, bob: Somebody, eve: Somebody
) -> None:
    room_id = ann.make_room("public", maxMembers=2)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert problem(eve.call("POST", f"/rooms/{room_id}/join", {}), 409)["code"] == "room_full"
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert problem(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 3, "name": ""}), 422)
    ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    ok(eve.call("POST", f"/rooms/{room_id}/join", {}))
    ok(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 3}))
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert (
        problem(ann.call("PATCH", f"/rooms/{room_id}", {"maxMembers": 2}), 409)["code"]
        == "room_full"
    )


def test_two_have_one_direct_room(ann: Somebody, bob: Somebody, eve: Somebody) -> None:
    first, second = ann.make_room("direct"), bob.make_room("direct")
    invite(ann, first, bob)
    problem(ann.call("POST", f"/rooms/{first}/members", {"userId": "eve"}), 409)
    found = problem(bob.call("POST", f"/rooms/{second}/members", {"userId": "ann"}), 409)
    assert (found["code"], found["roomId"]) == ("direct_room_exists", first)
    problem(bob.call("POST", f"/rooms/{first}/members", {"userId": "eve"}), 403)
    ok(bob.call("DELETE", f"/rooms/{first}/leave"), 204)
    invite(bob, second, ann)
    ok(bob.call("DELETE", f"/rooms/{second}"), 204)
    invite(ann, first, bob)
    problem(eve.call("POST", f"/rooms/{first}/join", {}), 403)


def test_announcement_rooms_are_written_by_moderators(ann: Somebody, bob: Somebody) -> None:
    room_id = ann.make_room("announcement")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert (
        problem(bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403)["code"]
        == "moderators_only"
    )
    ann.say(room_id)
    ok(ann.call("PATCH", member(room_id, bob), {"role": "moderator"}))
    bob.say(room_id)


def test_anonymous_users_chat_in_public_rooms_only(ann: Somebody, visitor: Somebody) -> None:
    ok(visitor.call("POST", f"/rooms/{ann.make_room('public')}/join", {}))
    assert problem(visitor.call("POST", "/rooms", {"name": "x", "type": "public"}), 403)
    answer = visitor.call("POST", f"/rooms/{ann.make_room('announcement')}/join", {})
    assert problem(answer, 403)["code"] == "anonymous_not_allowed"


def test_the_owner_hands_over_before_leaving(ann: Somebody, bob: Somebody) -> None:
    room_id = ann.make_room("public")
    assert (
        problem(ann.call("DELETE", f"/rooms/{room_id}/leave"), 409)["code"] == "owner_cannot_leave"
    )
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(bob.call("PATCH", member(room_id, bob), {"role": "owner"}), 403)
    ok(ann.call("PATCH", member(room_id, bob), {"role": "owner"}))
    assert roles(ann, room_id) == {"ann": "admin", "bob": "owner"}
    ok(ann.call("DELETE", f"/rooms/{room_id}/leave"), 204)


def test_roles_rule_those_below_them(
    ann: Somebody, bob: Somebody, eve: Somebody, world: World
) -> None:
    room_id = ann.make_room("public")
    dan = world.somebody("dan")
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


def test_the_muted_read_and_do_not_write(ann: Somebody, bob: Somebody) -> None:
    room_id = ann.make_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    assert document(ok(ann.call("PATCH", member(room_id, bob), {"mute": True})))["isMuted"] is True
    assert (
        problem(bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403)["code"]
        == "muted"
    )
    ok(bob.call("GET", f"/rooms/{room_id}/messages"))
    ok(ann.call("PATCH", member(room_id, bob), {"mute": False}))
    bob.say(room_id)


def test_the_banned_are_out_and_stay_out(ann: Somebody, bob: Somebody, eve: Somebody) -> None:
    room_id = ann.make_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    for person in (bob, eve):  # a member, and somebody who has not come yet
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
            assert problem(person.call(method, f"/rooms/{room_id}{path}"), 403)["code"] == "banned"
        answer = ann.call("POST", f"/rooms/{room_id}/members", {"userId": person.user_id})
        assert problem(answer, 403)["code"] == "banned"
    assert roles(ann, room_id) == {"ann": "owner"}
    assert room(ann, room_id)["memberCount"] == 1
    assert document(ok(bob.call("GET", "/rooms")))["items"] == []
    assert document(ok(ann.call("PATCH", member(room_id, bob), {"ban": False})))["role"] is None
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(ann.call("PATCH", member(room_id, ann), {"ban": True}), 403)


def test_a_moderator_of_the_platform_moderates_public_rooms(
    ann: Somebody, bob: Somebody, world: World
) -> None:
    room_id, private = ann.make_room("public"), ann.make_room("private")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    moderator = world.somebody("mod", roles=("user", "moderator"))
    ok(moderator.call("PATCH", member(room_id, bob), {"ban": True}))
    problem(moderator.call("PATCH", member(room_id, ann), {"ban": True}), 403)
    problem(moderator.call("GET", f"/rooms/{private}"), 403)


def test_a_change_of_a_version_that_has_passed_is_refused(ann: Somebody, bob: Somebody) -> None:
    room_id = ann.make_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    answer = ok(
        ann.call("PATCH", f"/rooms/{room_id}", {"name": "Two"}, headers={"If-Match": '"1"'})
    )
    assert (document(answer)["version"], document(answer)["description"]) == (2, "")
    problem(
        ann.call("PATCH", f"/rooms/{room_id}", {"name": "Three"}, headers={"If-Match": '"1"'}), 412
    )
    ok(ann.call("PATCH", member(room_id, bob), {"mute": True}, headers={"If-Match": '"1"'}))
    problem(
        ann.call("PATCH", member(room_id, bob), {"mute": False}, headers={"If-Match": '"1"'}), 412
    )


def test_a_deleted_room_leaves_nothing_to_find(ann: Somebody, bob: Somebody, world: World) -> None:
    room_id = ann.make_room("public")
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    problem(bob.call("GET", f"/rooms/{room_id}"), 404)
    assert world.items("rooms") == []
    assert document(ok(bob.call("GET", "/rooms")))["items"] == []


def test_members_are_listed_in_pages(ann: Somebody, world: World) -> None:
    room_id = ann.make_room("public")
    for index in range(4):
        ok(world.somebody(f"user-{index}").call("POST", f"/rooms/{room_id}/join", {}))
    first = document(ok(ann.call("GET", f"/rooms/{room_id}/members", limit="3")))
    assert {item.keys() >= MEMBER for item in first["items"]} == {True}
    rest = document(
        ok(ann.call("GET", f"/rooms/{room_id}/members", limit="3", cursor=first["nextCursor"]))
    )
    assert [item["userId"] for item in first["items"] + rest["items"]] == [
        "ann",
        *(f"user-{i}" for i in range(4)),
    ]
    assert rest["nextCursor"] is None


def test_profiles_say_what_members_are_called(ann: Somebody, bob: Somebody, world: World) -> None:
    def profile(user_id: str, visibility: str) -> None:
        item = {
            "user_id": {"S": user_id},
            "display_name": {"S": f"{user_id} of the profile"},
            "privacy": {"M": {"displayName": {"S": visibility}}},
        }
        world.dynamodb.put_item(TableName="profiles", Item=item)  # type: ignore[arg-type]

    profile("ann", "authenticated")
    profile("bob", "private")
    room_id = ann.make_room("private")
    invite(ann, room_id, bob)
    names = {
        m["userId"]: m["displayName"]
        for m in document(ok(bob.call("GET", f"/rooms/{room_id}/members")))["items"]
    }
    assert names == {"ann": "ann of the profile", "bob": "bob of the profile"}
    names = {
        m["userId"]: m["displayName"]
        for m in document(ok(ann.call("GET", f"/rooms/{room_id}/members")))["items"]
    }
    assert names["bob"] == "Someone"
    # A message is read by people of whom nothing is known.
    assert ann.say(room_id)["authorName"] == "Someone"


def test_a_repeat_with_the_same_key_makes_one_room(ann: Somebody, world: World) -> None:
    key = {"Idempotency-Key": "once"}
    answers = [
        ann.call("POST", "/rooms", {"name": "x", "type": "public"}, headers=key) for _ in range(2)
    ]
    assert document(answers[0]) == document(answers[1])
    assert len(world.events("RoomCreated")) == 1
    problem(ann.call("POST", "/rooms", {"name": "y", "type": "public"}, headers=key), 409)
