"""Tests that chat shows the current name in a profile to the viewers who may see it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.lambdas.chat.conftest import ChatUser, Socket, World, ok
from tests.lambdas.support import document

HIDDEN = {"privacy": {"displayName": "private"}}


@pytest.fixture
def listener(ann: ChatUser, room_id: str) -> Socket:
    socket = ann.connect()
    socket.join(room_id)
    return socket


def author_names(viewer: ChatUser, room_id: str, **query: Any) -> list[str]:
    page = document(ok(viewer.call("GET", f"/rooms/{room_id}/messages", **query)))
    return [item["authorName"] for item in page["items"]]


def test_stored_messages_show_the_current_name(
    ann: ChatUser, bob: ChatUser, visitor: ChatUser, room_id: str
) -> None:
    message = bob.send(room_id)
    assert message["authorName"] == "Name of bob"
    bob.set_profile(display_name="Robert")
    assert author_names(ann, room_id) == author_names(ann, room_id, afterSeq="0") == ["Robert"]
    bob.set_profile(display_name="Robert", **HIDDEN)
    assert author_names(ann, room_id) == ["Someone"]
    assert author_names(bob, room_id) == ["Robert"]
    bob.set_profile(display_name="Robert", privacy={"displayName": "authenticated"})
    assert author_names(ann, room_id) == ["Robert"]
    assert author_names(visitor, room_id) == ["Someone"]


def test_frames_never_show_an_outdated_name(bob: ChatUser, room_id: str, listener: Socket) -> None:
    """Bob hides or changes his name immediately after the service has read it for a frame."""
    socket = bob.connect()
    socket.join(room_id)
    bob.send(room_id)
    listener.take()
    for change, expected in ((HIDDEN, "Someone"), ({"display_name": "Robert"}, "Robert")):
        bob.set_profile(**change)
        body = {"content": expected}
        actions: list[Callable[[], Any]] = [
            lambda: socket.send("send_message", roomId=room_id, content="x"),
            lambda: bob.send(room_id),
            lambda: bob.call("PUT", f"/rooms/{room_id}/messages/{room_id}-1/reactions/👍", {}),
            lambda: bob.call("DELETE", f"/rooms/{room_id}/messages/{room_id}-1/reactions/👍"),
            partial(bob.call, "PATCH", f"/rooms/{room_id}/messages/{room_id}-1", body),
            lambda: socket.send("typing_stop", roomId=room_id),
            lambda: bob.call("DELETE", f"/rooms/{room_id}/leave"),
            lambda: socket.send("join_room", roomId=room_id),
        ]
        for act in actions:
            act()
        names = [
            frame.get("displayName") or frame["message"]["authorName"]
            for frame in listener.take()
            if frame["type"] != "presence"
        ]
        assert names == [expected] * len(actions)


def test_a_message_delivered_later_shows_the_current_name(
    ann: ChatUser, bob: ChatUser, room_id: str, listener: Socket, world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as killed:
        killed.setattr("lambdas.chat.message_logic.MessageService.announce", lambda *_: None)
        message = bob.send(room_id)
    bob.set_profile(**HIDDEN)
    world.deliver({"Records": [world.stream(message["messageId"])]})
    world.deliver({"Records": world.queued("DELIVERY_RETRIES_QUEUE_URL")})
    [frame] = listener.take("new_message")
    assert frame["message"]["authorName"] == "Someone"


def test_the_name_of_the_session_is_shown_until_the_profile_exists(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World
) -> None:
    world.dynamodb.delete_item(TableName="profiles", Key={"user_id": {"S": "bob"}})
    bob.send(room_id)
    assert author_names(ann, room_id) == ["Name of bob"]
    bob.set_profile(display_name="Robert")
    assert author_names(ann, room_id) == ["Robert"]
