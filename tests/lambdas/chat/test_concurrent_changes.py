"""Tests requests without If-Match that change a resource while another request changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lambdas.chat.conftest import ChatUser, World, ok
from tests.lambdas.support import document, problem


@contextmanager
def interleaved(world: World, operation: str, change: Callable[[], object]) -> Iterator[None]:
    """Calls `change` immediately before the first call of a DynamoDB operation."""
    changed: list[bool] = []

    def before_call(**_: Any) -> None:
        if not changed:
            changed.append(True)
            change()

    event = f"before-call.dynamodb.{operation}"
    events = world.clients.dynamodb.meta.events
    events.register(event, before_call)
    try:
        yield
    finally:
        events.unregister(event, before_call)
    assert changed, f"{operation} was not called, so `change` did not run"


def test_a_change_of_a_room_is_applied_after_a_concurrent_change(
    ann: ChatUser, room_id: str, world: World
) -> None:
    def change(description: str) -> None:
        ok(ann.call("PATCH", f"/rooms/{room_id}", {"description": description}))

    with interleaved(world, "TransactWriteItems", lambda: change("Other")):
        room = document(ok(ann.call("PATCH", f"/rooms/{room_id}", {"name": "New"})))
    assert (room["name"], room["description"], room["version"]) == ("New", "Other", 3)
    with interleaved(world, "TransactWriteItems", lambda: change("Another")):
        body = {"name": "Newer"}
        response = ann.call("PATCH", f"/rooms/{room_id}", body, headers={"If-Match": '"3"'})
    problem(response, 412)


def test_a_change_of_a_member_is_applied_after_a_concurrent_change(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World
) -> None:
    path = f"/rooms/{room_id}/members/{bob.user_id}"

    def change() -> None:
        ok(ann.call("PATCH", path, {"mute": True}))

    with interleaved(world, "TransactWriteItems", change):
        member = document(ok(ann.call("PATCH", path, {"role": "moderator"})))
    assert (member["role"], member["isMuted"]) == ("moderator", True)
    with interleaved(
        world, "TransactWriteItems", lambda: ok(ann.call("PATCH", path, {"mute": False}))
    ):
        ok(ann.call("DELETE", path), 204)


def test_a_user_muted_while_leaving_leaves_and_stays_muted(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World
) -> None:
    def change() -> None:
        ok(ann.call("PATCH", f"/rooms/{room_id}/members/{bob.user_id}", {"mute": True}))

    with interleaved(world, "TransactWriteItems", change):
        ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
    ok(bob.call("POST", f"/rooms/{room_id}/join", {}))
    problem(bob.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}), 403, "muted")


def test_an_edit_is_applied_after_a_concurrent_edit(
    bob: ChatUser, room_id: str, world: World
) -> None:
    path = f"/rooms/{room_id}/messages/{bob.send(room_id)['messageId']}"

    def change() -> None:
        ok(bob.call("PATCH", path, {"content": "Other"}))

    with interleaved(world, "UpdateItem", change):
        message = document(ok(bob.call("PATCH", path, {"content": "New"})))
    assert (message["content"], message["version"]) == ("New", 3)


def test_a_deletion_by_a_moderator_is_applied_after_a_concurrent_edit(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World
) -> None:
    path = f"/rooms/{room_id}/messages/{bob.send(room_id)['messageId']}"
    with interleaved(world, "UpdateItem", lambda: ok(bob.call("PATCH", path, {"content": "New"}))):
        ok(ann.call("DELETE", path), 204)
    problem(bob.call("PATCH", path, {"content": "Newer"}), 404)


def test_an_edit_that_changes_nothing_creates_no_version(
    bob: ChatUser, room_id: str, world: World
) -> None:
    message = bob.send(room_id, "Same")
    path = f"/rooms/{room_id}/messages/{message['messageId']}"
    assert document(ok(bob.call("PATCH", path, {"content": "Same"}))) == message


def test_a_change_of_a_room_to_the_same_values_creates_no_version(
    ann: ChatUser, room_id: str
) -> None:
    room = document(ok(ann.call("GET", f"/rooms/{room_id}")))
    for body in ({}, {"name": room["name"], "description": room["description"]}):
        assert document(ok(ann.call("PATCH", f"/rooms/{room_id}", body))) == room


@pytest.mark.parametrize(("type_", "limit"), [("public", None), ("group", 50)])
def test_null_removes_the_limit_of_members(
    ann: ChatUser, bob: ChatUser, type_: str, limit: int | None
) -> None:
    room_id = ann.create_room(type_, maxMembers=2)
    path = f"/rooms/{room_id}"
    unchanged = document(ok(ann.call("PATCH", path, {"name": "New"})))
    assert unchanged["maxMembers"] == 2
    assert document(ok(ann.call("PATCH", path, {"maxMembers": None})))["maxMembers"] == limit
    for name in ("name", "description"):
        problem(ann.call("PATCH", path, {name: None}), 422)
