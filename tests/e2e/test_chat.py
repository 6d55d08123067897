"""Tests chat on the running platform with real WebSocket clients and IAM enforced."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import redis
import urllib3
from websockets.exceptions import ConnectionClosed

from ops.embedded import EmbeddedCloud
from ops.embedded.processes import Processes
from ops.root import Root
from tests.chat_client import ChatClient, ChatError
from tests.e2e.chatters import Chatter, open_many
from tests.e2e.faults import queue_attributes
from tests.e2e.support import Api, Person, Platform, eventually

MANY, SENDERS, EACH = 500, 5, 4
"""Connections in one room, and the messages of each concurrent sender (20 in total)."""


@pytest.fixture(scope="module")
def people(platform: Platform) -> list[Chatter]:
    """Returns the concurrent senders."""
    platform.forget_attempts()
    return [
        Chatter(platform, Person.signed_in(platform, Api(platform.api_url))) for _ in range(SENDERS)
    ]


@pytest.fixture
def ann(people: list[Chatter]) -> Chatter:
    return people[0]


@pytest.fixture
def bob(people: list[Chatter]) -> Chatter:
    return people[1]


@pytest.fixture
def eve(people: list[Chatter]) -> Chatter:
    return people[2]


@pytest.fixture
def room(ann: Chatter, bob: Chatter) -> str:
    """Creates a private room of Ann's with Bob as a member."""
    made = ann.make_room()
    ann.invite(made, bob)
    return made


@contextlib.asynccontextmanager
async def in_room(room: str, *chatters: Chatter) -> AsyncIterator[list[ChatClient]]:
    """Opens a client for each user and joins the room."""
    clients = [chatter.client() for chatter in chatters]
    for client in clients:
        await client.open()
        await client.join(room)
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Waits until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        await asyncio.sleep(0.02)


def texts_of(client: ChatClient, room: str) -> list[str]:
    return [message["content"] for message in client.messages[room]]


def signals(client: ChatClient, type_: str) -> list[dict[str, Any]]:
    return [frame for frame in client.signals if frame["type"] == type_]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 120))


def test_two_users_see_each_others_actions(ann: Chatter, bob: Chatter, room: str) -> None:
    async def scenario() -> None:
        async with in_room(room, ann, bob) as (first, second):
            await until(lambda: signals(first, "presence"))
            await first.request("typing_start", roomId=room)
            await until(lambda: signals(second, "typing"))
            ack = await first.send(room, "Tea?")
            reply = await second.send(room, "Yes", replyTo=ack["messageId"])
            await until(lambda: texts_of(first, room) == texts_of(second, room) == ["Tea?", "Yes"])
            await second.request("mark_read", roomId=room, seq=ack["seq"])
            await until(lambda: signals(first, "read"))
            path = f"/rooms/{room}/messages/{reply['messageId']}"
            for chatter, method, suffix, body in (
                (ann, "PUT", "/reactions/%F0%9F%91%8D", {}),
                (bob, "PATCH", "", {"content": "No"}),
                (ann, "DELETE", "", None),
            ):
                response = await asyncio.to_thread(chatter.call, method, path + suffix, body)
                assert response.status in {200, 204}, response.body
            for client in (first, second):
                await until(partial(signals, client, "message_deleted"))
                assert signals(client, "reaction")[0]["count"] == 1
                assert signals(client, "message_updated")[0]["message"]["content"] == "No"
        # A user is offline after the last connection is closed.
        async with in_room(room, ann) as (first,):
            await first.request("ping")

    run(scenario())


def test_privacy_settings_apply_to_chat(platform: Platform, ann: Chatter, room: str) -> None:
    dan = Chatter(platform, Person.signed_in(platform, Api(platform.api_url)))
    wishes = {
        "privacy": {
            "showOnlineStatus": False,
            "allowDirectMessages": False,
            "showReadReceipts": False,
        }
    }
    ann.invite(room, dan)
    token = dan.person.access_token
    Api(platform.api_url).call("PUT", "/v1/profile/preferences", wishes, token=token).expect(200)
    invited = f"/rooms/{ann.make_room('direct')}/members"
    assert (
        ann.call("POST", invited, {"userId": dan.user_id}).expect(403)["code"]
        == "direct_messages_refused"
    )
    assert ann.call("POST", invited, {"userId": "nobody"}).expect(404)["code"] == "user_not_found"

    async def scenario() -> None:
        async with in_room(room, ann) as (first,):
            async with in_room(room, dan) as (second,):
                ack = await first.send(room, "Are you there?")
                await second.request("mark_read", roomId=room, seq=ack["seq"])
                assert (await first.join(room))["online"] == [ann.user_id]
                await second.send(room, "No")
                await until(lambda: len(first.messages[room]) == 2)
            await first.send(room, "Gone?")
            await until(lambda: len(first.messages[room]) == 3)
            assert signals(first, "presence") == signals(first, "read") == []

    run(scenario())


def test_a_deleted_rooms_messages_are_removed(platform: Platform, ann: Chatter) -> None:
    room = ann.make_room()
    message_ids = [ann.say(room)["messageId"] for _ in range(2)]
    dynamodb = platform.aws("dynamodb")

    def left() -> list[Any]:
        keys = [{"message_id": {"S": id_}} for id_ in message_ids]
        response = dynamodb.batch_get_item(RequestItems={"chat-messages-local": {"Keys": keys}})
        return list(response["Responses"]["chat-messages-local"])

    assert len(left()) == 2
    with queue_attributes(platform, "delivery-retries-queue-local", DelaySeconds="0"):
        ann.call("DELETE", f"/rooms/{room}").expect(204)
        ann.call("GET", f"/rooms/{room}/messages").expect(404)
        eventually(lambda: not left())


def test_a_repeated_message_is_stored_once(ann: Chatter, room: str) -> None:
    async def scenario() -> None:
        async with in_room(room, ann) as (client,):
            acks = [
                await client.request(
                    "send_message", roomId=room, content="x", clientMessageId="same"
                )
                for _ in range(3)
            ]
            assert {(ack["messageId"], ack["seq"]) for ack in acks} == {(f"{room}-1", 1)}

    run(scenario())


def test_an_anonymous_sender_is_not_revealed(
    platform: Platform, ann: Chatter, bob: Chatter, room: str
) -> None:
    async def scenario() -> None:
        async with in_room(room, ann, bob) as (first, second):
            await second.send(room, "Guess", isAnonymous=True)
            await second.request("typing_start", roomId=room)
            await second.request("mark_read", roomId=room, seq=1)
            await first.send(room, "Who?")
            await until(lambda: len(first.messages[room]) == 2)
            assert first.messages[room][0]["authorName"].startswith("Anonymous_")
            assert bob.user_id not in json.dumps(first.messages[room][0])
            assert not signals(first, "typing") + signals(first, "read")

    run(scenario())
    listed = ann.call("GET", f"/rooms/{room}/messages").expect(200)["items"]
    assert bob.user_id not in json.dumps(listed)
    bob.call("PATCH", f"/rooms/{room}/messages/{listed[1]['messageId']}", {"content": "Me"}).expect(
        200
    )


def test_only_members_receive_messages_and_removal_takes_effect_at_once(
    ann: Chatter, bob: Chatter, eve: Chatter, room: str
) -> None:
    async def scenario() -> None:
        outside = eve.client()
        await outside.open()
        with pytest.raises(ChatError, match="invitation_required"):
            await outside.join(room)
        with pytest.raises(ChatError, match="not_joined"):
            await outside.request("send_message", roomId=room, content="x")
        async with in_room(room, ann, bob) as (first, second):
            await first.send(room, "1")
            await until(lambda: texts_of(second, room) == ["1"])
            response = await asyncio.to_thread(
                ann.call, "DELETE", f"/rooms/{room}/members/{bob.user_id}"
            )
            response.expect(204)
            await first.send(room, "2")
            await until(lambda: texts_of(first, room) == ["1", "2"])
            await until(lambda: signals(first, "user_left"))
            with pytest.raises(ChatError, match="not_joined"):
                await second.request("typing_start", roomId=room)
            assert texts_of(second, room) == ["1"]
            assert not signals(second, "user_left")
        assert not outside.messages and not outside.signals  # noqa: PT018
        await outside.close()

    run(scenario())
    assert eve.call("GET", f"/rooms/{room}/messages").problem(403, "not_a_member")


def test_concurrent_joins_do_not_exceed_the_member_limit(people: list[Chatter]) -> None:
    room = people[0].make_room("public", maxMembers=3)

    async def scenario() -> None:
        joins = [
            asyncio.to_thread(person.call, "POST", f"/rooms/{room}/join", {})
            for person in people[1:]
        ]
        responses = await asyncio.gather(*joins)
        assert sorted(response.status for response in responses) == [200, 200, 409, 409]

    run(scenario())
    assert people[0].call("GET", f"/rooms/{room}").expect(200)["memberCount"] == 3
    assert len(people[0].call("GET", f"/rooms/{room}/members").expect(200)["items"]) == 3


def test_concurrent_rest_messages_have_consecutive_numbers(people: list[Chatter]) -> None:
    room = people[0].make_room()
    people[0].invite(room, *people[1:])

    async def scenario() -> None:
        sends = [
            asyncio.to_thread(person.say, room, f"{n}") for n in range(EACH) for person in people
        ]
        numbers = [message["seq"] for message in await asyncio.gather(*sends)]
        assert sorted(numbers) == list(range(1, SENDERS * EACH + 1))

    run(scenario())


def test_attachments_are_uploaded_to_the_bucket_and_served_by_signed_urls(
    ann: Chatter, bob: Chatter, eve: Chatter, room: str
) -> None:
    content = b"%PDF-1.7 tea"
    body = {"fileName": "Tea.pdf", "contentType": "application/pdf", "contentLength": len(content)}
    made = ann.call("POST", f"/rooms/{room}/attachments", body).expect(201)
    upload = made["upload"]
    reply = urllib3.request(
        "POST", upload["url"], fields={**upload["fields"], "file": ("Tea.pdf", content)}
    )
    assert reply.status in {200, 201, 204}, reply.data
    message = ann.say(room, "See", type="file", attachments=[made["key"]])
    assert message["attachments"][0]["attachmentId"] == made["attachmentId"]
    path = f"/rooms/{room}/attachments/{made['attachmentId']}"
    response = bob.call("GET", path)
    response.expect(302)
    found = urllib3.request("GET", response.headers["Location"])
    assert (found.status, found.data) == (200, content)
    assert found.headers["Content-Disposition"].startswith("attachment; filename")
    eve.call("GET", path).problem(403)


def test_an_ended_session_ends_its_connections(
    platform: Platform, room: str, bob: Chatter, ann: Chatter
) -> None:
    platform.forget_attempts()
    person = Chatter(platform, Person.signed_in(platform, Api(platform.api_url)))
    ann.invite(room, person)

    async def scenario() -> None:
        async with in_room(room, person) as (client,):
            api = Api(platform.api_url)
            response = await asyncio.to_thread(
                api.post, "/v1/auth/logout", {}, token=person.person.access_token
            )
            response.expect(204)
            with pytest.raises((ChatError, ConnectionClosed, TimeoutError)):
                await client.request("ping")
            await until(lambda: client.closed)

    run(scenario())


def test_a_listener_whose_session_was_revoked_receives_nothing_more(
    platform: Platform, room: str, ann: Chatter
) -> None:
    platform.forget_attempts()
    person = Chatter(platform, Person.signed_in(platform, Api(platform.api_url)))
    ann.invite(room, person)

    async def scenario() -> None:
        async with in_room(room, ann, person) as (first, second):
            await first.send(room, "1")
            await until(lambda: texts_of(second, room) == ["1"])
            token = person.person.access_token
            response = await asyncio.to_thread(
                Api(platform.api_url).post, "/v1/auth/logout", {}, token=token
            )
            response.expect(204)
            await asyncio.sleep(5)  # the longest time that the contract allows
            await first.send(room, "2")
            await until(lambda: second.closed)
            assert texts_of(second, room) == ["1"]

    run(scenario())


def test_a_client_that_never_reads_does_not_delay_others(
    ann: Chatter, bob: Chatter, room: str
) -> None:
    async def scenario() -> None:
        async with in_room(room, ann, bob) as (first, second):
            second.reading.clear()
            for number in range(30):
                begun = time.monotonic()
                await first.send(room, "x" * 4000)
                assert time.monotonic() - begun < 5, number
            await until(lambda: len(first.messages[room]) == 30)
            second.reading.set()
            await until(lambda: len(second.messages[room]) == 30)

    run(scenario())


def test_clients_rejoin_after_the_cache_was_flushed(
    platform: Platform, ann: Chatter, bob: Chatter, room: str
) -> None:
    async def scenario() -> None:
        async with in_room(room, ann, bob) as (first, second):
            host, _, port = platform.outputs["cache_endpoint"].rpartition(":")
            with redis.Redis(host=host, port=int(port)) as cache:
                for key in cache.scan_iter("chat:*"):
                    cache.delete(key)
            await first.send(room, "1")  # the error is not_joined, so the client joins again
            await second.request("ping")  # the response is resync, so the client joins again
            await until(lambda: texts_of(second, room) == ["1"])
            await first.send(room, "2")
            await until(lambda: texts_of(first, room) == texts_of(second, room) == ["1", "2"])
            assert second.filled >= 1

    run(scenario())


def test_a_message_of_a_killed_function_is_delivered(
    platform: Platform, ann: Chatter, bob: Chatter, room: str
) -> None:
    """Writes a message and its number as the chat function does, without sending it."""
    first = ann.say(room, "1")
    dynamodb = platform.aws("dynamodb")
    item = dynamodb.get_item(
        TableName="chat-messages-local", Key={"message_id": {"S": first["messageId"]}}
    )["Item"]

    async def scenario() -> None:
        async with in_room(room, bob) as (client,):
            changes = {"message_id": {"S": f"{room}-2"}, "seq": {"N": "2"}, "content": {"S": "2"}}
            dynamodb.put_item(TableName="chat-messages-local", Item={**item, **changes})
            dynamodb.update_item(
                TableName="chat-rooms-local",
                Key={"room_id": {"S": f"{room}#seq"}},
                UpdateExpression="SET seq = :two",
                ExpressionAttributeValues={":two": {"N": "2"}},
            )
            await until(lambda: texts_of(client, room) == ["2"], 60)

    run(scenario())


def test_a_client_misses_nothing_after_a_lost_connection(
    ann: Chatter, bob: Chatter, room: str
) -> None:
    async def scenario() -> None:
        async with in_room(room, ann, bob) as (first, second):
            await first.send(room, "1")
            await until(lambda: texts_of(second, room) == ["1"])
            await second.close()
            await first.send(room, "2")
            await second.open()
            await first.send(room, "3")
            await until(lambda: texts_of(second, room) == ["1", "2", "3"])

    run(scenario())


def test_an_invalid_frame_gets_an_error_and_a_large_one_closes_one_connection(
    ann: Chatter, room: str
) -> None:
    async def scenario() -> None:
        async with in_room(room, ann) as (client,):
            for action, code in (("shout", "unknown_action"), ("join_room", "invalid_fields")):
                with pytest.raises(ChatError, match=code):
                    await client.request(action)
            await client.request("ping")

    run(scenario())


def test_500_connections_receive_every_message_once_and_in_order(
    people: list[Chatter],
) -> None:
    room = people[0].make_room()
    people[0].invite(room, *people[1:])

    async def scenario() -> None:
        clients = await open_many(people, room, MANY)
        acks: list[int] = []

        async def send(sender: int) -> None:
            for number in range(EACH):
                acks.append((await clients[sender].send(room, f"{sender}-{number}"))["seq"])

        await asyncio.gather(*(send(sender) for sender in range(SENDERS)))
        everything = list(range(1, SENDERS * EACH + 1))
        assert sorted(acks) == everything
        await until(
            lambda: all(len(client.messages[room]) == len(everything) for client in clients), 90
        )
        for client in clients:
            assert [message["seq"] for message in client.messages[room]] == everything
        await asyncio.gather(*(client.close() for client in clients))

    asyncio.run(asyncio.wait_for(scenario(), 240))


def test_without_the_cache_messages_are_stored_and_health_reports_it(
    own_platform: Platform, ann: Chatter, bob: Chatter, room: str
) -> None:
    root, api = Root(own_platform.root), Api(own_platform.api_url)
    processes = Processes(root)

    async def scenario() -> None:
        async with in_room(room, ann, bob) as (first, second):
            process = processes.get("cache")
            assert process is not None
            await asyncio.to_thread(processes.stop, process)
            try:
                assert (await first.send(room, "1"))["seq"] == 1
                with pytest.raises(ChatError, match="not_joined"):
                    await first.request("typing_start", roomId=room)
                await asyncio.to_thread(eventually, lambda: api.get("/health").status == 503)
            finally:
                await asyncio.to_thread(EmbeddedCloud(root).start)
            # The connections still exist, and the stored messages are delivered without a repair.
            await until(lambda: texts_of(second, room) == ["1"], 60)
            await first.send(room, "2")
            await until(lambda: texts_of(first, room) == texts_of(second, room) == ["1", "2"])
            await asyncio.to_thread(eventually, lambda: api.get("/health").status == 200)

    run(scenario())
