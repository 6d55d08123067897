"""Tests messages by REST: history, numbers, edits, reactions, anonymity and attachments."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from lambdas.common.storage.transactions import Transactions
from tests.lambdas.chat.conftest import BUCKET, ChatUser, World, ok
from tests.lambdas.support import document, problem, wrong_fields

MESSAGE = {
    "messageId", "roomId", "authorId", "authorName", "content", "type", "seq", "timestamp",
    "reactions", "replyTo", "isEdited", "isDeleted", "isAnonymous", "attachments", "version",
}  # fmt: skip


def history(viewer: ChatUser, room_id: str, **query: Any) -> Any:
    return document(ok(viewer.call("GET", f"/rooms/{room_id}/messages", **query)))


def test_responses_contain_the_whole_message_and_its_seq(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World
) -> None:
    message = ann.send(room_id, "Tea?\n\tYes")
    assert message.keys() == MESSAGE
    assert (message["authorId"], message["authorName"], message["seq"], message["type"]) == (
        "ann",
        "Name of ann",
        1,
        "text",
    )
    replied = bob.send(room_id, "Yes", replyTo=message["messageId"])
    assert (replied["seq"], replied["replyTo"]) == (2, message["messageId"])
    assert history(bob, room_id) == {"items": [replied, message], "nextCursor": None}
    assert (
        document(ok(ann.call("GET", f"/rooms/{room_id}")))["lastActivity"] == replied["timestamp"]
    )
    first, second = sorted(world.events("MessageSent"), key=lambda event: event["data"]["seq"])
    assert (first["actorId"], second["actorId"]) == ("ann", "bob")
    assert "Tea" not in json.dumps(world.events())


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"content"}),
        ({"content": ""}, {"content"}),
        ({"content": " \n"}, {"content"}),
        ({"content": "x" * 5001, "type": "video"}, {"content", "type"}),
        (
            {"content": "x\x00", "isAnonymous": 1, "color": "red"},
            {"content", "isAnonymous", "color"},
        ),
        ({"content": "x", "replyTo": "nowhere-1"}, {"replyTo"}),
        ({"content": "x", "attachments": ["uploads/chat/ann/x"]}, {"attachments.0"}),
    ],
)
def test_an_error_names_every_invalid_field(
    ann: ChatUser, room_id: str, body: Any, fields: set[str]
) -> None:
    assert (
        wrong_fields(problem(ann.call("POST", f"/rooms/{room_id}/messages", body), 422)) == fields
    )


def test_only_members_can_write(ann: ChatUser, eve: ChatUser, room_id: str) -> None:
    message = ann.send(room_id)["messageId"]
    for method, path, body in (
        ("POST", "", {"content": "x"}),
        ("PATCH", f"/{message}", {"content": "x"}),
        ("DELETE", f"/{message}", None),
        ("PUT", f"/{message}/reactions/👍", {}),
    ):
        problem(eve.call(method, f"/rooms/{room_id}/messages{path}", body), 403, "not_a_member")


def test_history_is_listed_newest_first_and_with_after_seq_oldest_first(
    ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    for index in range(7):
        ann.send(room_id, f"{index + 1}")
    pages: list[list[int]] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        page = history(bob, room_id, limit="3", **cursor)
        pages.append([item["seq"] for item in page["items"]])
        cursor = {"cursor": page["nextCursor"]}
    assert (pages, page["nextCursor"]) == ([[7, 6, 5], [4, 3, 2], [1]], None)
    page = history(bob, room_id, afterSeq="2", limit="3")
    assert [item["seq"] for item in page["items"]] == [3, 4, 5]
    second_page = history(bob, room_id, afterSeq="2", limit="3", cursor=page["nextCursor"])
    assert ([item["seq"] for item in second_page["items"]], second_page["nextCursor"]) == (
        [6, 7],
        None,
    )
    assert history(bob, room_id, afterSeq="7") == {"items": [], "nextCursor": None}
    problem(bob.call("GET", f"/rooms/{room_id}/messages", afterSeq="-1"), 422)
    problem(
        bob.call("GET", f"/rooms/{room_id}/messages", afterSeq="3", cursor=page["nextCursor"]), 400
    )
    problem(
        ann.call(
            "GET", f"/rooms/{ann.create_room()}/messages", cursor=page["nextCursor"], afterSeq="2"
        ),
        400,
    )


def test_concurrent_messages_get_consecutive_numbers(
    ann: ChatUser, bob: ChatUser, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times, a message of bob takes the number that the request of ann has just read."""
    write, others = Transactions.write, ["c", "b", "a"]

    def write_after_another_message(self: Transactions, entries: Any) -> None:
        if others:
            content = others.pop()
            with monkeypatch.context() as patch:
                patch.setattr(Transactions, "write", write)
                bob.send(room_id, content)
        write(self, entries)

    monkeypatch.setattr(Transactions, "write", write_after_another_message)
    message = ann.send(room_id, "d")
    assert message["seq"] == 4
    items = history(bob, room_id)["items"]
    assert [(item["seq"], item["content"]) for item in items] == [
        (4, "d"),
        (3, "c"),
        (2, "b"),
        (1, "a"),
    ]
    times = [item["timestamp"] for item in items]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 4


def forget_response(world: World) -> None:
    """Creates the state that a function leaves if it is killed before it stores its response."""
    for item in world.items("idempotency"):
        if "answer" in item:
            key = {"idempotency_key": {"S": item["idempotency_key"]}}
            world.dynamodb.delete_item(TableName="idempotency", Key=key)


def test_a_request_repeated_after_a_lost_response_stores_one_message(
    ann: ChatUser, room_id: str, world: World
) -> None:
    key = {"Idempotency-Key": "once"}
    first = document(
        ok(ann.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}, headers=key), 201)
    )
    forget_response(world)
    repeated = document(
        ok(ann.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}, headers=key), 201)
    )
    assert repeated == first
    assert len(history(ann, room_id)["items"]) == 1


def test_only_the_author_can_edit_a_message(ann: ChatUser, bob: ChatUser, room_id: str) -> None:
    message = ann.send(room_id, "Tee")
    path = f"/rooms/{room_id}/messages/{message['messageId']}"
    edited = document(ok(ann.call("PATCH", path, {"content": "Tea"}, headers={"If-Match": '"1"'})))
    assert edited == {**message, "content": "Tea", "isEdited": True, "version": 2}
    problem(ann.call("PATCH", path, {"content": "Tee"}, headers={"If-Match": '"1"'}), 412)
    problem(bob.call("PATCH", path, {"content": "Coffee"}), 403, "not_the_author")
    assert wrong_fields(problem(ann.call("PATCH", path, {"content": "", "type": "x"}), 422)) == {
        "content",
        "type",
    }
    assert history(bob, room_id)["items"] == [edited]


def test_author_and_moderators_can_delete_a_message_but_its_seq_stays(
    ann: ChatUser, bob: ChatUser, world: World, room_id: str
) -> None:
    eve = world.user("eve")
    ok(eve.call("POST", f"/rooms/{room_id}/join", {}))
    paths = [
        f"/rooms/{room_id}/messages/{bob.send(room_id, 'secret')['messageId']}" for _ in range(2)
    ]
    problem(eve.call("DELETE", paths[0]), 403, "not_the_author")
    ok(bob.call("DELETE", paths[0]), 204)
    ok(ann.call("DELETE", paths[1]), 204)
    items = history(ann, room_id)["items"]
    assert [(item["seq"], item["isDeleted"], item["content"]) for item in items] == [
        (2, True, ""),
        (1, True, ""),
    ]
    for path in paths:
        for method, body in (("DELETE", None), ("PATCH", {"content": "x"})):
            problem(bob.call(method, path, body), 404, "message_not_found")
        problem(bob.call("PUT", f"{path}/reactions/👍", {}), 404)
    assert "secret" not in json.dumps(world.items("messages"))


@pytest.mark.parametrize(
    "id_", ["nothing", "{room}-99", "{room}-x", "{room}-1%23reactions", "{room}-1#👍#bob"]
)
def test_an_unknown_message_returns_404(ann: ChatUser, room_id: str, id_: str) -> None:
    ann.send(room_id)
    path = f"/rooms/{room_id}/messages/{quote(id_.format(room=room_id), safe='')}"
    problem(ann.call("PATCH", path, {"content": "x"}), 404)
    problem(ann.call("DELETE", path), 404)


def test_reactions_count_once_per_user(ann: ChatUser, bob: ChatUser, room_id: str) -> None:
    message = ann.send(room_id)["messageId"]
    path = f"/rooms/{room_id}/messages/{message}/reactions"
    for person in (ann, bob, bob):
        ok(person.call("PUT", f"{path}/{quote('👍')}"), 204)
    ok(bob.call("PUT", f"{path}/🍵"), 204)
    assert history(ann, room_id)["items"][0]["reactions"] == {"👍": 2, "🍵": 1}
    for _ in range(2):
        ok(bob.call("DELETE", f"{path}/{quote('👍')}"), 204)
    ok(bob.call("DELETE", f"{path}/🍵"), 204)
    assert history(ann, room_id)["items"][0]["reactions"] == {"👍": 1}


def test_an_anonymous_message_reveals_only_the_alias(
    ann: ChatUser, bob: ChatUser, room_id: str, world: World, log: Any
) -> None:
    message = bob.send(room_id, isAnonymous=True)
    assert message["isAnonymous"] is True
    assert "authorId" not in message
    assert message["authorName"].startswith("Anonymous_")
    second_message = bob.send(room_id, isAnonymous=True)
    assert second_message["authorName"] == message["authorName"]
    assert "bob" not in json.dumps([message, history(ann, room_id)])
    events = world.events("MessageSent")
    assert len({e["actorId"] for e in events}) == 1
    assert "bob" not in json.dumps(events)
    stored = [item for item in world.items("messages") if "room_id" in item]
    assert "bob" not in json.dumps(stored)
    assert {item["user_id"] for item in world.items("authors")} == {"bob"}
    # The alias differs between rooms.
    other_room_id = bob.create_room("public")
    assert world.events("RoomCreated")
    assert bob.send(other_room_id, isAnonymous=True)["authorName"] != message["authorName"]
    # The log does not name the author of an anonymous message.
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    sends = [
        line
        for line in lines
        if line.get("method") == "POST" and str(line.get("route")).endswith("/messages")
    ]
    assert sends
    assert {line.get("user_id") for line in sends} == {None}


def test_only_the_author_can_edit_an_anonymous_message(
    ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    path = f"/rooms/{room_id}/messages/{bob.send(room_id, isAnonymous=True)['messageId']}"
    problem(ann.call("PATCH", path, {"content": "x"}), 403)
    edited = document(ok(bob.call("PATCH", path, {"content": "y"})))
    assert "authorId" not in edited
    ok(ann.call("DELETE", path), 204)


def test_messages_of_anonymous_users_are_always_anonymous(
    ann: ChatUser, visitor: ChatUser, world: World
) -> None:
    room_id = ann.create_room("public")
    ok(visitor.call("POST", f"/rooms/{room_id}/join", {}))
    message = visitor.send(room_id)
    assert message["isAnonymous"] is True
    assert "visitor" not in json.dumps([message, world.events("MessageSent")])


def upload(
    world: World, person: ChatUser, room_id: str, content: bytes = b"%PDF-1.7 x", **changes: Any
) -> Any:
    """Requests an upload from the API, uploads the file, and returns the API's response."""
    body = {
        "fileName": "Tee & Brot.pdf",
        "contentType": "application/pdf",
        "contentLength": len(content),
        **changes,
    }
    created = document(ok(person.call("POST", f"/rooms/{room_id}/attachments", body), 201))
    world.s3.put_object(
        Bucket=BUCKET, Key=created["key"], Body=content, ContentType=body["contentType"]
    )
    return created


def test_members_download_attachments_from_signed_urls(
    ann: ChatUser, bob: ChatUser, eve: ChatUser, world: World, room_id: str
) -> None:
    created = upload(world, ann, room_id)
    assert created.keys() == {"upload", "key", "attachmentId"}
    path = f"/rooms/{room_id}/attachments/{created['attachmentId']}"
    problem(ann.call("GET", path), 404)  # no message contains the attachment yet
    message = ann.send(room_id, attachments=[created["key"]], type="file")
    assert message["attachments"] == [
        {
            "attachmentId": created["attachmentId"],
            "fileName": "Tee & Brot.pdf",
            "contentType": "application/pdf",
            "size": 10,
        }
    ]
    response = ok(bob.call("GET", path), 302)
    address = urlsplit(response["headers"]["Location"])
    query = parse_qs(address.query)
    assert query["response-content-disposition"] == [
        "attachment; filename*=UTF-8''Tee%20%26%20Brot.pdf"
    ]
    assert int(query["X-Amz-Expires"][0]) <= 300
    key = address.path.partition(f"{BUCKET}/")[2] or address.path[1:]
    assert key.startswith(f"chat/{room_id}/")
    assert world.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"%PDF-1.7 x"
    problem(eve.call("GET", path), 403)
    problem(
        ann.call("GET", f"/rooms/{ann.create_room()}/attachments/{created['attachmentId']}"), 404
    )
    assert problem(
        ann.call(
            "POST", f"/rooms/{room_id}/messages", {"content": "x", "attachments": [created["key"]]}
        ),
        409,
    )
    ok(ann.call("DELETE", f"/rooms/{room_id}/messages/{message['messageId']}"), 204)
    problem(bob.call("GET", path), 404)
    assert not world.s3.list_objects_v2(Bucket=BUCKET, Prefix="chat/").get("Contents")


def test_a_repeated_message_keeps_its_attachments(
    ann: ChatUser, world: World, room_id: str
) -> None:
    path, key = f"/rooms/{room_id}/messages", {"Idempotency-Key": "once"}
    body = {"content": "x", "attachments": [upload(world, ann, room_id)["key"]]}
    first = document(ok(ann.call("POST", path, body, headers=key), 201))
    forget_response(world)
    assert document(ok(ann.call("POST", path, body, headers=key), 201)) == first
    assert len(world.s3.list_objects_v2(Bucket=BUCKET, Prefix="chat/")["Contents"]) == 1


def test_an_attachment_must_match_its_upload_in_room_and_uploader_and_type(
    ann: ChatUser, bob: ChatUser, world: World, room_id: str
) -> None:
    created = upload(world, ann, room_id)

    def find_invalid_fields(person: ChatUser, room: str, *keys: str) -> set[str]:
        body = {"content": "x", "attachments": list(keys)}
        return wrong_fields(problem(person.call("POST", f"/rooms/{room}/messages", body), 422))

    assert find_invalid_fields(bob, room_id, created["key"]) == {"attachments.0"}
    assert find_invalid_fields(ann, ann.create_room(), created["key"]) == {"attachments.0"}
    assert find_invalid_fields(ann, room_id, created["key"], "nothing") == {"attachments.1"}
    assert find_invalid_fields(ann, room_id, created["key"], created["key"]) == {"attachments"}
    assert find_invalid_fields(ann, room_id, upload(world, ann, room_id, b"<html>")["key"]) == {
        "attachments.0"
    }
    for key in ("", "x" * 3000, f"uploads/chat/ann/{'x' * 250}", "\u4e16" * 300):
        assert find_invalid_fields(ann, room_id, key) == {"attachments.0"}
    body = {"fileName": "a/b", "contentType": "text/html", "contentLength": 10 * 1024 * 1024 + 1}
    assert wrong_fields(
        problem(ann.call("POST", f"/rooms/{room_id}/attachments", body), 422)
    ) == set(body)
    assert not world.s3.list_objects_v2(Bucket=BUCKET, Prefix="chat/").get("Contents")


def test_the_log_has_the_time_taken_to_send_a_message_but_no_user_room_or_message_ids(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    sender = world.user("user-1")
    room_id = sender.create_room("public")
    started = time.time()
    message = sender.send(room_id, isAnonymous=True)
    [line] = [record for record in caplog.records if record.getMessage() == "message announced"]
    assert started <= line.stored_at <= time.time()  # type: ignore[attr-defined]
    assert 0 <= line.fanout_ms < 10_000  # type: ignore[attr-defined]
    for secret in (sender.user_id, room_id, message["messageId"], message["authorName"]):
        assert secret not in str(vars(line))
