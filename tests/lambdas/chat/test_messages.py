"""Messages by REST: history, numbers, edits, reactions, anonymity, attachments."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from lambdas.common.storage.transactions import Transactions
from tests.lambdas.chat.conftest import BUCKET, Somebody, World, ok
from tests.lambdas.support import document, problem, wrong_fields

MESSAGE = {
    "messageId", "roomId", "authorId", "authorName", "content", "type", "seq", "timestamp", "reactions", "replyTo", "isEdited",
    "isDeleted", "isAnonymous", "attachments", "version",
}  # fmt: skip


@pytest.fixture
def room_id(ann: Somebody, bob: Somebody) -> str:
    """A public room of ann's, with bob."""
    made = ann.make_room("public")
    ok(bob.call("POST", f"/rooms/{made}/join", {}))
    return made


def history(viewer: Somebody, room_id: str, **query: Any) -> Any:
    return document(ok(viewer.call("GET", f"/rooms/{room_id}/messages", **query)))


def test_a_message_is_answered_whole_and_numbered(
    ann: Somebody, bob: Somebody, room_id: str, world: World
) -> None:
    said = ann.say(room_id, "Tea?\n\tYes")
    assert said.keys() == MESSAGE
    assert (said["authorId"], said["authorName"], said["seq"], said["type"]) == (
        "ann",
        "Name of ann",
        1,
        "text",
    )
    replied = bob.say(room_id, "Yes", replyTo=said["messageId"])
    assert (replied["seq"], replied["replyTo"]) == (2, said["messageId"])
    assert history(bob, room_id) == {"items": [replied, said], "nextCursor": None}
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
def test_every_wrong_field_is_named(
    ann: Somebody, room_id: str, body: Any, fields: set[str]
) -> None:
    assert (
        wrong_fields(problem(ann.call("POST", f"/rooms/{room_id}/messages", body), 422)) == fields
    )


def test_only_members_write(ann: Somebody, eve: Somebody, room_id: str) -> None:
    said = ann.say(room_id)["messageId"]
    for method, path, body in (
        ("POST", "", {"content": "x"}),
        ("PATCH", f"/{said}", {"content": "x"}),
        ("DELETE", f"/{said}", None),
        ("PUT", f"/{said}/reactions/x", {}),
    ):
        assert (
            problem(eve.call(method, f"/rooms/{room_id}/messages{path}", body), 403)["code"]
            == "not_a_member"
        )


def test_history_is_paged_newest_first_and_gaps_are_filled_oldest_first(
    ann: Somebody, bob: Somebody, room_id: str
) -> None:
    for index in range(7):
        ann.say(room_id, f"{index + 1}")
    pages: list[list[int]] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        page = history(bob, room_id, limit="3", **cursor)
        pages.append([item["seq"] for item in page["items"]])
        cursor = {"cursor": page["nextCursor"]}
    assert (pages, page["nextCursor"]) == ([[7, 6, 5], [4, 3, 2], [1]], None)
    page = history(bob, room_id, afterSeq="2", limit="3")
    assert [item["seq"] for item in page["items"]] == [3, 4, 5]
    rest = history(bob, room_id, afterSeq="2", limit="3", cursor=page["nextCursor"])
    assert ([item["seq"] for item in rest["items"]], rest["nextCursor"]) == ([6, 7], None)
    assert history(bob, room_id, afterSeq="7") == {"items": [], "nextCursor": None}
    problem(bob.call("GET", f"/rooms/{room_id}/messages", afterSeq="-1"), 422)
    problem(
        bob.call("GET", f"/rooms/{room_id}/messages", afterSeq="3", cursor=page["nextCursor"]), 400
    )
    problem(
        ann.call(
            "GET", f"/rooms/{ann.make_room()}/messages", cursor=page["nextCursor"], afterSeq="2"
        ),
        400,
    )


def test_whoever_was_faster_takes_the_number_and_the_other_the_next(
    ann: Somebody, bob: Somebody, room_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three messages of another come between the read of a number and its use, each time one."""
    write, others = Transactions.write, ["c", "b", "a"]

    def overtaken(self: Transactions, entries: Any) -> None:
        if others:
            content = others.pop()
            with monkeypatch.context() as patch:
                patch.setattr(Transactions, "write", write)
                bob.say(room_id, content)
        write(self, entries)

    monkeypatch.setattr(Transactions, "write", overtaken)
    said = ann.say(room_id, "d")
    assert said["seq"] == 4
    found = history(bob, room_id)["items"]
    assert [(item["seq"], item["content"]) for item in found] == [
        (4, "d"),
        (3, "c"),
        (2, "b"),
        (1, "a"),
    ]
    times = [item["timestamp"] for item in found]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 4


def test_a_repeat_with_the_same_key_is_stored_once_though_its_answer_was_lost(
    ann: Somebody, room_id: str, world: World
) -> None:
    key = {"Idempotency-Key": "once"}
    first = document(
        ok(ann.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}, headers=key), 201)
    )
    # The function was killed after the transaction: the answer is not remembered, and its lease has run out.
    for item in world.items("idempotency"):
        if "answer" in item:
            world.dynamodb.delete_item(
                TableName="idempotency", Key={"idempotency_key": {"S": item["idempotency_key"]}}
            )
    again = document(
        ok(ann.call("POST", f"/rooms/{room_id}/messages", {"content": "x"}, headers=key), 201)
    )
    assert again == first
    assert len(history(ann, room_id)["items"]) == 1


def test_the_author_edits(ann: Somebody, bob: Somebody, room_id: str) -> None:
    said = ann.say(room_id, "Tee")
    path = f"/rooms/{room_id}/messages/{said['messageId']}"
    edited = document(ok(ann.call("PATCH", path, {"content": "Tea"}, headers={"If-Match": '"1"'})))
    assert edited == {**said, "content": "Tea", "isEdited": True, "version": 2}
    problem(ann.call("PATCH", path, {"content": "Tee"}, headers={"If-Match": '"1"'}), 412)
    assert problem(bob.call("PATCH", path, {"content": "Coffee"}), 403)["code"] == "not_the_author"
    assert wrong_fields(problem(ann.call("PATCH", path, {"content": "", "type": "x"}), 422)) == {
        "content",
        "type",
    }
    assert history(bob, room_id)["items"] == [edited]


def test_author_and_moderators_delete_and_the_number_stays(
    ann: Somebody, bob: Somebody, world: World, room_id: str
) -> None:
    eve = world.somebody("eve")
    ok(eve.call("POST", f"/rooms/{room_id}/join", {}))
    paths = [
        f"/rooms/{room_id}/messages/{bob.say(room_id, 'secret')['messageId']}" for _ in range(2)
    ]
    assert problem(eve.call("DELETE", paths[0]), 403)["code"] == "not_the_author"
    ok(bob.call("DELETE", paths[0]), 204)
    ok(ann.call("DELETE", paths[1]), 204)
    found = history(ann, room_id)["items"]
    assert [(item["seq"], item["isDeleted"], item["content"]) for item in found] == [
        (2, True, ""),
        (1, True, ""),
    ]
    for path in paths:
        for method, body in (("DELETE", None), ("PATCH", {"content": "x"})):
            assert problem(bob.call(method, path, body), 404)["code"] == "message_not_found"
        problem(bob.call("PUT", f"{path}/reactions/x", {}), 404)
    assert "secret" not in json.dumps(world.items("messages"))


@pytest.mark.parametrize(
    "id_", ["nothing", "{room}-99", "{room}-x", "{room}-1%23reactions", "{room}-1#👍#bob"]
)
def test_a_message_that_is_not_there_is_404(ann: Somebody, room_id: str, id_: str) -> None:
    ann.say(room_id)
    path = f"/rooms/{room_id}/messages/{quote(id_.format(room=room_id), safe='')}"
    problem(ann.call("PATCH", path, {"content": "x"}), 404)
    problem(ann.call("DELETE", path), 404)


def test_reactions_are_counted_once_for_each_user(
    ann: Somebody, bob: Somebody, room_id: str
) -> None:
    said = ann.say(room_id)["messageId"]
    path = f"/rooms/{room_id}/messages/{said}/reactions"
    for person in (ann, bob, bob):
        ok(person.call("PUT", f"{path}/{quote('👍')}"), 204)
    ok(bob.call("PUT", f"{path}/:tea:"), 204)
    assert history(ann, room_id)["items"][0]["reactions"] == {"👍": 2, ":tea:": 1}
    for _ in range(2):
        ok(bob.call("DELETE", f"{path}/{quote('👍')}"), 204)
    ok(bob.call("DELETE", f"{path}/:tea:"), 204)
    assert history(ann, room_id)["items"][0]["reactions"] == {"👍": 1}
    assert wrong_fields(problem(ann.call("PUT", f"{path}/{'x' * 33}"), 422)) == {"emoji"}
    problem(ann.call("PUT", f"{path}/{quote('a b')}"), 422)


def test_an_anonymous_message_shows_its_alias_and_nothing_else(
    ann: Somebody, bob: Somebody, room_id: str, world: World, log: Any
) -> None:
    said = bob.say(room_id, isAnonymous=True)
    assert said["isAnonymous"] is True
    assert "authorId" not in said
    assert said["authorName"].startswith("Anonymous_")
    again = bob.say(room_id, isAnonymous=True)
    assert again["authorName"] == said["authorName"]
    assert "bob" not in json.dumps([said, history(ann, room_id)])
    events = world.events("MessageSent")
    assert len({e["actorId"] for e in events}) == 1
    assert "bob" not in json.dumps(events)
    stored = [item for item in world.items("messages") if "room_id" in item]
    assert "bob" not in json.dumps(stored)
    assert {item["user_id"] for item in world.items("authors")} == {"bob"}
    # Another room, another name.
    other = bob.make_room("public")
    assert world.events("RoomCreated")
    assert bob.say(other, isAnonymous=True)["authorName"] != said["authorName"]
    # No line of the log that tells of an anonymous message names its author.
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    sends = [
        line
        for line in lines
        if line.get("method") == "POST" and str(line.get("route")).endswith("/messages")
    ]
    assert sends
    assert {line.get("user_id") for line in sends} == {None}


def test_an_anonymous_message_is_its_own_authors_to_edit(
    ann: Somebody, bob: Somebody, room_id: str
) -> None:
    path = f"/rooms/{room_id}/messages/{bob.say(room_id, isAnonymous=True)['messageId']}"
    problem(ann.call("PATCH", path, {"content": "x"}), 403)
    edited = document(ok(bob.call("PATCH", path, {"content": "y"})))
    assert "authorId" not in edited
    ok(ann.call("DELETE", path), 204)


def test_an_anonymous_user_is_anonymous_whatever_they_say(
    ann: Somebody, visitor: Somebody, world: World
) -> None:
    room_id = ann.make_room("public")
    ok(visitor.call("POST", f"/rooms/{room_id}/join", {}))
    said = visitor.say(room_id)
    assert said["isAnonymous"] is True
    assert "visitor" not in json.dumps([said, world.events("MessageSent")])


def upload(
    world: World, person: Somebody, room_id: str, content: bytes = b"%PDF-1.7 x", **changes: Any
) -> Any:
    """What the API answers to the wish to upload, with the file uploaded."""
    body = {
        "fileName": "Tee & Brot.pdf",
        "contentType": "application/pdf",
        "contentLength": len(content),
        **changes,
    }
    made = document(ok(person.call("POST", f"/rooms/{room_id}/attachments", body), 201))
    world.s3.put_object(
        Bucket=BUCKET, Key=made["key"], Body=content, ContentType=body["contentType"]
    )
    return made


def test_members_read_attachments_through_signed_addresses(
    ann: Somebody, bob: Somebody, eve: Somebody, world: World, room_id: str
) -> None:
    made = upload(world, ann, room_id)
    assert made.keys() == {"upload", "key", "attachmentId"}
    path = f"/rooms/{room_id}/attachments/{made['attachmentId']}"
    problem(ann.call("GET", path), 404)  # no message has it yet
    said = ann.say(room_id, attachments=[made["key"]], type="file")
    assert said["attachments"] == [
        {
            "attachmentId": made["attachmentId"],
            "fileName": "Tee & Brot.pdf",
            "contentType": "application/pdf",
            "size": 10,
        }
    ]
    answer = ok(bob.call("GET", path), 302)
    address = urlsplit(answer["headers"]["Location"])
    query = parse_qs(address.query)
    assert query["response-content-disposition"] == [
        "attachment; filename*=UTF-8''Tee%20%26%20Brot.pdf"
    ]
    assert int(query["X-Amz-Expires"][0]) <= 300
    key = address.path.partition(f"{BUCKET}/")[2] or address.path[1:]
    assert key.startswith(f"chat/{room_id}/")
    assert world.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"%PDF-1.7 x"
    problem(eve.call("GET", path), 403)
    problem(ann.call("GET", f"/rooms/{ann.make_room()}/attachments/{made['attachmentId']}"), 404)
    assert problem(
        ann.call(
            "POST", f"/rooms/{room_id}/messages", {"content": "x", "attachments": [made["key"]]}
        ),
        409,
    )
    ok(ann.call("DELETE", f"/rooms/{room_id}/messages/{said['messageId']}"), 204)
    problem(bob.call("GET", path), 404)
    assert not world.s3.list_objects_v2(Bucket=BUCKET, Prefix="chat/").get("Contents")


def test_an_attachment_is_its_uploaders_in_its_room_and_of_its_type(
    ann: Somebody, bob: Somebody, world: World, room_id: str
) -> None:
    made = upload(world, ann, room_id)

    def refused(person: Somebody, room: str, *keys: str) -> set[str]:
        body = {"content": "x", "attachments": list(keys)}
        return wrong_fields(problem(person.call("POST", f"/rooms/{room}/messages", body), 422))

    assert refused(bob, room_id, made["key"]) == {"attachments.0"}
    assert refused(ann, ann.make_room(), made["key"]) == {"attachments.0"}
    assert refused(ann, room_id, made["key"], "nothing") == {"attachments.1"}
    assert refused(ann, room_id, made["key"], made["key"]) == {"attachments"}
    assert refused(ann, room_id, upload(world, ann, room_id, b"<html>")["key"]) == {"attachments.0"}
    body = {"fileName": "a/b", "contentType": "text/html", "contentLength": 10 * 1024 * 1024 + 1}
    assert wrong_fields(
        problem(ann.call("POST", f"/rooms/{room_id}/attachments", body), 422)
    ) == set(body)
    assert not world.s3.list_objects_v2(Bucket=BUCKET, Prefix="chat/").get("Contents")


def test_the_log_has_the_duration_of_an_announcement_but_no_identifiers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    sender = world.somebody("somebody-1")
    room_id = sender.make_room("public")
    begun = time.time()
    said = sender.say(room_id, isAnonymous=True)
    [line] = [record for record in caplog.records if record.getMessage() == "message announced"]
    assert begun <= line.stored_at <= time.time()  # type: ignore[attr-defined]
    assert 0 <= line.fanout_ms < 10_000  # type: ignore[attr-defined]
    for secret in (sender.user_id, room_id, said["messageId"], said["authorName"]):
        assert secret not in str(vars(line))
