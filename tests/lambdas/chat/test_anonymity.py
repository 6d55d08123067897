"""Tests that only the authors table stores the author of an anonymous message, and that no user
sees who the author is.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest
import redis

from tests.lambdas.chat.conftest import ChatUser, World, ok
from tests.lambdas.chat.test_messages import upload
from tests.lambdas.support import document

AUTHOR = "the-real-author"


@pytest.fixture
def author(world: World) -> ChatUser:
    return world.user(AUTHOR)


@pytest.fixture
def room_id(ann: ChatUser, author: ChatUser) -> str:
    id_ = ann.create_room("public")
    ok(author.call("POST", f"/rooms/{id_}/join", {}))
    return id_


def test_anonymous_messages_and_reactions_show_the_id_of_the_alias(
    world: World, ann: ChatUser, author: ChatUser, visitor: ChatUser, room_id: str
) -> None:
    ok(visitor.call("POST", f"/rooms/{room_id}/join", {}))
    listener = ann.connect()
    listener.join(room_id)
    listener.take()
    messages = [
        author.send(room_id, isAnonymous=True),
        visitor.send(room_id),
        author.send(room_id, "again", isAnonymous=True),
        author.send(room_id, "in public"),
    ]
    first, others, repeated = (message["aliasId"] for message in messages[:3])
    assert first == repeated != others
    assert messages[0]["authorName"] == messages[2]["authorName"] != messages[1]["authorName"]
    assert "aliasId" not in messages[3]
    path = f"/rooms/{room_id}/messages/{messages[0]['messageId']}"
    edited = document(ok(author.call("PATCH", path, {"content": "edited"})))
    listed = document(ok(ann.call("GET", f"/rooms/{room_id}/messages")))["items"]
    frames = listener.take()
    expected = [first, others, first, None, first]
    assert edited["aliasId"] == first
    assert [message.get("aliasId") for message in listed[::-1]] == expected[:4]
    assert [frame["message"].get("aliasId") for frame in frames] == expected
    assert all(("aliasId" in m) != ("authorId" in m) for m in (*messages, edited, *listed))

    ok(visitor.call("PUT", f"{path}/reactions/👍", {}), 204)
    ok(author.call("PUT", f"{path}/reactions/👍", {}), 204)
    by_visitor, by_author = listener.take("reaction")
    assert (by_visitor["aliasId"], by_visitor["displayName"]) == (
        others,
        messages[1]["authorName"],
    )
    assert "userId" not in by_visitor
    assert "aliasId" not in by_author


def stored_items(world: World) -> Counter[str]:
    """Returns all items as texts with their number of occurrences.

    Omits the items of the table `authors`.
    """
    tables = world.dynamodb.list_tables()["TableNames"]
    return Counter(
        f"{table}: {item}" for table in tables if table != "authors" for item in world.items(table)
    )


def test_frames_items_and_logs_do_not_name_the_author_of_an_anonymous_message(
    world: World,
    ann: ChatUser,
    author: ChatUser,
    room_id: str,
    cache: redis.Redis,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    socket, listener = author.connect("connection-1"), ann.connect("connection-2")
    for client in (socket, listener):
        client.join(room_id)
    before = stored_items(world)
    log.seek(0)
    log.truncate()
    listener.take()
    file = upload(world, author, room_id)
    uploaded = json.loads(log.getvalue())
    assert room_id not in str(uploaded), "the log line of the upload contains its room"
    log.seek(0)
    log.truncate()
    key = {"Idempotency-Key": "once"}
    body = {"content": "x", "isAnonymous": True, "attachments": [file["key"]]}
    for _ in range(2):
        ok(author.call("POST", f"/rooms/{room_id}/messages", body, headers=key), 201)
    for content in ("y", "z"):
        socket.send(
            "send_message", roomId=room_id, content=content, isAnonymous=True, clientMessageId="c"
        )
    socket.send("typing_start", roomId=room_id, isAnonymous=True)
    # All frames go through the queue, as in a large room.
    monkeypatch.setattr("lambdas.chat.broadcast.INLINE_LIMIT", 0)
    second = author.send(room_id, isAnonymous=True, replyTo=f"{room_id}-1")
    path = f"/rooms/{room_id}/messages/{second['messageId']}"
    ok(author.call("PATCH", path, {"content": "edited"}))
    ok(author.call("DELETE", path), 204)
    messages = [item for item in world.items("messages") if item.get("is_anonymous")]
    assert len(messages) == 3
    assert len(world.items("authors")) == 3
    traces: dict[str, Any] = {
        "tables": sorted((stored_items(world) - before).elements()),
        "frames": listener.take(),
        "deliveries": world.queued("DELIVERIES_QUEUE_URL"),
        "retries": world.queued("DELIVERY_RETRIES_QUEUE_URL"),
        "log": log.getvalue(),
    }
    assert all(traces[name] for name in ("tables", "frames", "deliveries", "log"))
    assert [name for name, trace in traces.items() if AUTHOR in str(trace)] == []
