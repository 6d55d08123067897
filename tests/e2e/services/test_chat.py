"""Tests chat on the running platform with real WebSocket clients and IAM enforced."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import urllib3
from websockets.exceptions import ConnectionClosed

from ops.embedded import EmbeddedCloud
from ops.embedded.processes import Processes
from ops.root import Root
from tests.chat_client import ChatClient, ChatError
from tests.e2e.support.api_client import Api
from tests.e2e.support.chat_users import ChatUser, open_connections
from tests.e2e.support.faults import change_queue_attributes
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.waiting import wait_for

SENDERS, MESSAGES_PER_SENDER = 5, 4
"""Number of concurrent senders, and number of messages that each of them sends."""


@pytest.fixture(scope="module")
def people(platform: Platform) -> list[ChatUser]:
    """Returns users who can send at the same time."""
    platform.reset_rate_limits()
    return [
        ChatUser(platform, Person.sign_up(platform, Api(platform.api_url))) for _ in range(SENDERS)
    ]


@pytest.fixture
def ann(people: list[ChatUser]) -> ChatUser:
    return people[0]


@pytest.fixture
def bob(people: list[ChatUser]) -> ChatUser:
    return people[1]


@pytest.fixture
def eve(people: list[ChatUser]) -> ChatUser:
    return people[2]


@pytest.fixture
def room(ann: ChatUser, bob: ChatUser) -> str:
    """Creates a private room that Ann owns and Bob is a member of."""
    room_id = ann.create_room()
    ann.invite(room_id, bob)
    return room_id


@contextlib.asynccontextmanager
async def open_in_room(room: str, *chatters: ChatUser) -> AsyncIterator[list[ChatClient]]:
    """Opens a client for each user. Each client joins the room."""
    clients = [chatter.create_client() for chatter in chatters]
    for client in clients:
        await client.open()
        await client.join(room)
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()


async def wait_until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Waits until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not met within {seconds:.0f} s"
        await asyncio.sleep(0.02)


def list_texts(client: ChatClient, room: str) -> list[str]:
    return [message["content"] for message in client.messages[room]]


async def wait_for_texts(client: ChatClient, room: str, *texts: str) -> None:
    """Waits until the client has received exactly these messages in the room, in this order."""
    await wait_until(lambda: list_texts(client, room) == [*texts])


def list_signals(client: ChatClient, type_: str) -> list[dict[str, Any]]:
    return [frame for frame in client.signals if frame["type"] == type_]


def run_with_timeout(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 120))


def test_members_receive_each_others_messages_reactions_and_activity(
    ann: ChatUser, bob: ChatUser, room: str
) -> None:
    async def scenario() -> None:
        async with open_in_room(room, ann, bob) as (first, second):
            await wait_until(lambda: list_signals(first, "presence"))
            await first.request("typing_start", roomId=room)
            await wait_until(lambda: list_signals(second, "typing"))
            ack = await first.send(room, "Tea?")
            reply = await second.send(room, "Yes", replyTo=ack["messageId"])
            await wait_until(
                lambda: list_texts(first, room) == list_texts(second, room) == ["Tea?", "Yes"]
            )
            await second.request("mark_read", roomId=room, seq=ack["seq"])
            await wait_until(lambda: list_signals(first, "read"))
            path = f"/rooms/{room}/messages/{reply['messageId']}"
            for chatter, method, suffix, body in (
                (ann, "PUT", "/reactions/%F0%9F%91%8D", {}),
                (bob, "PATCH", "", {"content": "No"}),
                (ann, "DELETE", "", None),
            ):
                response = await asyncio.to_thread(chatter.call, method, path + suffix, body)
                assert response.status in {200, 204}, response.body
            for client in (first, second):
                await wait_until(partial(list_signals, client, "message_deleted"))
                assert list_signals(client, "reaction")[0]["count"] == 1
                assert list_signals(client, "message_updated")[0]["message"]["content"] == "No"
        # A user is offline after the last connection is closed.
        async with open_in_room(room, ann) as (first,):
            await first.request("ping")

    run_with_timeout(scenario())


def test_privacy_settings_hide_presence_and_receipts_and_prevent_direct_messages(
    platform: Platform, ann: ChatUser, room: str
) -> None:
    dan = ChatUser(platform, Person.sign_up(platform, Api(platform.api_url)))
    preferences = {
        "privacy": {
            "showOnlineStatus": False,
            "allowDirectMessages": False,
            "showReadReceipts": False,
        }
    }
    ann.invite(room, dan)
    token = dan.person.access_token
    Api(platform.api_url).call("PUT", "/v1/profile/preferences", preferences, token=token).expect(
        200
    )
    members_path = f"/rooms/{ann.create_room('direct')}/members"
    assert (
        ann.call("POST", members_path, {"userId": dan.user_id}).expect(403)["code"]
        == "direct_messages_refused"
    )
    assert (
        ann.call("POST", members_path, {"userId": "nobody"}).expect(404)["code"] == "user_not_found"
    )

    async def scenario() -> None:
        async with open_in_room(room, ann) as (first,):
            async with open_in_room(room, dan) as (second,):
                ack = await first.send(room, "Are you there?")
                await second.request("mark_read", roomId=room, seq=ack["seq"])
                assert (await first.join(room))["online"] == [ann.user_id]
                await second.send(room, "No")
                await wait_until(lambda: len(first.messages[room]) == 2)
            await first.send(room, "Gone?")
            await wait_until(lambda: len(first.messages[room]) == 3)
            assert list_signals(first, "presence") == list_signals(first, "read") == []

    run_with_timeout(scenario())


@pytest.mark.exclusive
def test_a_deleted_rooms_messages_are_removed(platform: Platform, ann: ChatUser) -> None:
    room = ann.create_room()
    message_ids = [ann.send_message(room)["messageId"] for _ in range(2)]
    dynamodb = platform.aws("dynamodb")

    def list_remaining() -> list[Any]:
        keys = [{"message_id": {"S": id_}} for id_ in message_ids]
        response = dynamodb.batch_get_item(RequestItems={"chat-messages-local": {"Keys": keys}})
        return list(response["Responses"]["chat-messages-local"])

    assert len(list_remaining()) == 2
    with change_queue_attributes(platform, "delivery-retries-queue-local", DelaySeconds="0"):
        ann.call("DELETE", f"/rooms/{room}").expect(204)
        ann.call("GET", f"/rooms/{room}/messages").expect(404)
        wait_for(lambda: not list_remaining())


def test_a_repeated_message_is_stored_once(ann: ChatUser, room: str) -> None:
    async def scenario() -> None:
        async with open_in_room(room, ann) as (client,):
            acks = [
                await client.request(
                    "send_message", roomId=room, content="x", clientMessageId="same"
                )
                for _ in range(3)
            ]
            assert {(ack["messageId"], ack["seq"]) for ack in acks} == {(f"{room}-1", 1)}

    run_with_timeout(scenario())


def test_an_anonymous_sender_is_not_revealed(
    platform: Platform, ann: ChatUser, bob: ChatUser, room: str
) -> None:
    async def scenario() -> None:
        async with open_in_room(room, ann, bob) as (first, second):
            await second.send(room, "Guess", isAnonymous=True)
            await second.request("typing_start", roomId=room)
            await second.request("mark_read", roomId=room, seq=1)
            await first.send(room, "Who?")
            await wait_until(lambda: len(first.messages[room]) == 2)
            assert first.messages[room][0]["authorName"].startswith("Anonymous_")
            assert bob.user_id not in json.dumps(first.messages[room][0])
            assert not list_signals(first, "typing") + list_signals(first, "read")

    run_with_timeout(scenario())
    listed = ann.call("GET", f"/rooms/{room}/messages").expect(200)["items"]
    assert bob.user_id not in json.dumps(listed)
    bob.call("PATCH", f"/rooms/{room}/messages/{listed[1]['messageId']}", {"content": "Me"}).expect(
        200
    )


def test_users_who_never_joined_or_were_just_removed_receive_no_messages(
    ann: ChatUser, bob: ChatUser, eve: ChatUser, room: str
) -> None:
    async def scenario() -> None:
        outsider = eve.create_client()
        await outsider.open()
        with pytest.raises(ChatError, match="invitation_required"):
            await outsider.join(room)
        with pytest.raises(ChatError, match="not_joined"):
            await outsider.request("send_message", roomId=room, content="x")
        async with open_in_room(room, ann, bob) as (first, second):
            await first.send(room, "1")
            await wait_until(lambda: list_texts(second, room) == ["1"])
            response = await asyncio.to_thread(
                ann.call, "DELETE", f"/rooms/{room}/members/{bob.user_id}"
            )
            response.expect(204)
            await first.send(room, "2")
            await wait_until(lambda: list_texts(first, room) == ["1", "2"])
            await wait_until(lambda: list_signals(first, "user_left"))
            with pytest.raises(ChatError, match="not_joined"):
                await second.request("typing_start", roomId=room)
            assert list_texts(second, room) == ["1"]
            assert not list_signals(second, "user_left")
        assert not outsider.messages and not outsider.signals  # noqa: PT018
        await outsider.close()

    run_with_timeout(scenario())
    assert eve.call("GET", f"/rooms/{room}/messages").expect_problem(403, "not_a_member")


def test_concurrent_joins_do_not_exceed_the_member_limit(people: list[ChatUser]) -> None:
    room = people[0].create_room("public", maxMembers=3)

    async def scenario() -> None:
        joins = [
            asyncio.to_thread(person.call, "POST", f"/rooms/{room}/join", {})
            for person in people[1:]
        ]
        responses = await asyncio.gather(*joins)
        assert sorted(response.status for response in responses) == [200, 200, 409, 409]

    run_with_timeout(scenario())
    assert people[0].call("GET", f"/rooms/{room}").expect(200)["memberCount"] == 3
    assert len(people[0].call("GET", f"/rooms/{room}/members").expect(200)["items"]) == 3


def test_concurrent_rest_messages_have_consecutive_numbers(people: list[ChatUser]) -> None:
    room = people[0].create_room()
    people[0].invite(room, *people[1:])

    async def scenario() -> None:
        sends = [
            asyncio.to_thread(person.send_message, room, f"{n}")
            for n in range(MESSAGES_PER_SENDER)
            for person in people
        ]
        numbers = [message["seq"] for message in await asyncio.gather(*sends)]
        assert sorted(numbers) == list(range(1, SENDERS * MESSAGES_PER_SENDER + 1))

    run_with_timeout(scenario())


def test_attachments_are_uploaded_to_the_bucket_and_served_by_signed_urls(
    ann: ChatUser, bob: ChatUser, eve: ChatUser, room: str
) -> None:
    content = b"%PDF-1.7 tea"
    body = {"fileName": "Tea.pdf", "contentType": "application/pdf", "contentLength": len(content)}
    created = ann.call("POST", f"/rooms/{room}/attachments", body).expect(201)
    upload = created["upload"]
    posted = urllib3.request(
        "POST", upload["url"], fields={**upload["fields"], "file": ("Tea.pdf", content)}
    )
    assert posted.status in {200, 201, 204}, posted.data
    message = ann.send_message(room, "See", type="file", attachments=[created["key"]])
    assert message["attachments"][0]["attachmentId"] == created["attachmentId"]
    path = f"/rooms/{room}/attachments/{created['attachmentId']}"
    response = bob.call("GET", path)
    response.expect(302)
    download = urllib3.request("GET", response.headers["Location"])
    assert (download.status, download.data) == (200, content)
    assert download.headers["Content-Disposition"].startswith("attachment; filename")
    eve.call("GET", path).expect_problem(403)


def test_a_connection_is_closed_when_its_client_sends_after_the_session_ended(
    platform: Platform, room: str, bob: ChatUser, ann: ChatUser
) -> None:
    platform.reset_rate_limits()
    person = ChatUser(platform, Person.sign_up(platform, Api(platform.api_url)))
    ann.invite(room, person)

    async def scenario() -> None:
        async with open_in_room(room, person) as (client,):
            api = Api(platform.api_url)
            response = await asyncio.to_thread(
                api.post, "/v1/auth/logout", {}, token=person.person.access_token
            )
            response.expect(204)
            with pytest.raises((ChatError, ConnectionClosed, TimeoutError)):
                await client.request("ping")
            await wait_until(lambda: client.closed)

    run_with_timeout(scenario())


def test_connections_receive_nothing_5_s_after_a_session_or_membership_ended(
    platform: Platform, ann: ChatUser, bob: ChatUser
) -> None:
    """One user has several sessions, and is a member of several rooms.

    The current session and one membership continue. All others end, each in a different way.
    """
    platform.reset_rate_limits()
    api = Api(platform.api_url)
    account = Person.sign_up(platform, api)

    def sign_in() -> ChatUser:
        person = copy.copy(account)
        person.log_in()
        return ChatUser(platform, person)

    current, logged_out, deleted, elsewhere = (sign_in() for _ in range(4))
    reasons = {ann.create_room(): reason for reason in ("left", "removed", "banned", "deleted")}
    left, removed, banned, gone = reasons
    remaining_room = ann.create_room()
    for room in (*reasons, remaining_room):
        ann.invite(room, current, bob)

    def end_all() -> None:
        member, token = f"members/{current.user_id}", current.person.access_token
        current.call("DELETE", f"/rooms/{left}/leave").expect(204)
        ann.call("DELETE", f"/rooms/{removed}/{member}").expect(204)
        ann.call("PATCH", f"/rooms/{banned}/{member}", {"ban": True}).expect(200)
        ann.call("DELETE", f"/rooms/{gone}").expect(204)
        api.post("/v1/auth/logout", {}, token=logged_out.person.access_token).expect(204)
        path = f"/v1/auth/sessions/{deleted.person.session_id}"
        api.call("DELETE", path, token=token).expect(204)
        passwords = {"currentPassword": account.password, "newPassword": "Other-horse-2"}
        api.post("/v1/auth/change-password", passwords, token=token).expect(204)

    async def scenario() -> None:
        async with open_in_room(
            remaining_room, current, logged_out, deleted, elsewhere, bob
        ) as clients:
            listener, *ended, witness = clients
            for room in reasons:
                await listener.join(room)
                await witness.join(room)
            for room in (*reasons, remaining_room):
                await asyncio.to_thread(ann.send_message, room, "1")
                await wait_for_texts(witness, room, "1")
            for client in clients:
                await wait_for_texts(client, remaining_room, "1")
            for room in reasons:
                await wait_for_texts(listener, room, "1")
            await asyncio.to_thread(end_all)
            await asyncio.sleep(5)  # the API's contract allows frames to arrive for up to 5 s
            for room in (left, removed, banned, remaining_room):
                await asyncio.to_thread(ann.send_message, room, "2")
                await wait_for_texts(witness, room, "1", "2")
            await wait_for_texts(listener, remaining_room, "1", "2")
            await wait_until(lambda: all(client.closed for client in ended))
            assert [list_texts(client, remaining_room) for client in ended] == [["1"]] * 3
            assert [list_texts(listener, room) for room in reasons] == [["1"]] * 4
            room_left_frames = [
                (frame["roomId"], frame["reason"])
                for frame in listener.signals
                if frame["type"] == "room_left"
            ]
            assert sorted(room_left_frames) == sorted(reasons.items())

    run_with_timeout(scenario())


def test_a_connection_cannot_send_after_its_user_loses_the_moderator_role(
    ann: ChatUser, bob: ChatUser
) -> None:
    room = ann.create_room("announcement")
    ann.invite(room, bob)
    member = f"/rooms/{room}/members/{bob.user_id}"

    async def scenario() -> None:
        async with open_in_room(room, ann, bob) as (first, second):
            await asyncio.to_thread(ann.call, "PATCH", member, {"role": "moderator"})
            await second.send(room, "1")
            await asyncio.to_thread(ann.call, "PATCH", member, {"role": "member"})
            with pytest.raises(ChatError, match="moderators_only"):
                await second.send(room, "2")
            # Members with any role receive messages.
            await first.send(room, "3")
            await wait_for_texts(second, room, "1", "3")

    run_with_timeout(scenario())


def test_a_client_that_never_reads_does_not_delay_others(
    ann: ChatUser, bob: ChatUser, room: str
) -> None:
    async def scenario() -> None:
        async with open_in_room(room, ann, bob) as (first, second):
            second.reading.clear()
            for number in range(30):
                begun = time.monotonic()
                await first.send(room, "x" * 4000)
                assert time.monotonic() - begun < 5, number
            await wait_until(lambda: len(first.messages[room]) == 30)
            second.reading.set()
            await wait_until(lambda: len(second.messages[room]) == 30)

    run_with_timeout(scenario())


@pytest.mark.exclusive
def test_clients_rejoin_after_the_cache_was_flushed(
    platform: Platform, ann: ChatUser, bob: ChatUser, room: str
) -> None:
    async def scenario() -> None:
        async with open_in_room(room, ann, bob) as (first, second):
            with platform.cache() as cache:
                for key in cache.scan_iter("chat:*"):
                    cache.delete(key)
            await first.send(room, "1")  # the server returns not_joined, so the client joins again
            await second.request("ping")  # the server returns resync, so the client joins again
            await wait_until(lambda: list_texts(second, room) == ["1"])
            await first.send(room, "2")
            await wait_until(
                lambda: list_texts(first, room) == list_texts(second, room) == ["1", "2"]
            )
            assert second.filled >= 1

    run_with_timeout(scenario())


def test_a_message_that_a_killed_function_stored_is_delivered(
    platform: Platform, ann: ChatUser, bob: ChatUser, room: str
) -> None:
    """Writes a message and its number as the chat function does, without sending it."""
    first = ann.send_message(room, "1")
    dynamodb = platform.aws("dynamodb")
    item = dynamodb.get_item(
        TableName="chat-messages-local", Key={"message_id": {"S": first["messageId"]}}
    )["Item"]

    async def scenario() -> None:
        async with open_in_room(room, bob) as (client,):
            changes = {"message_id": {"S": f"{room}-2"}, "seq": {"N": "2"}, "content": {"S": "2"}}
            dynamodb.put_item(TableName="chat-messages-local", Item={**item, **changes})
            dynamodb.update_item(
                TableName="chat-rooms-local",
                Key={"room_id": {"S": f"{room}#seq"}},
                UpdateExpression="SET seq = :two",
                ExpressionAttributeValues={":two": {"N": "2"}},
            )
            await wait_until(lambda: list_texts(client, room) == ["2"], 60)

    run_with_timeout(scenario())


def test_a_client_receives_every_message_after_a_lost_connection(
    ann: ChatUser, bob: ChatUser, room: str
) -> None:
    async def scenario() -> None:
        async with open_in_room(room, ann, bob) as (first, second):
            await first.send(room, "1")
            await wait_until(lambda: list_texts(second, room) == ["1"])
            await second.close()
            await first.send(room, "2")
            await second.open()
            await first.send(room, "3")
            await wait_until(lambda: list_texts(second, room) == ["1", "2", "3"])

    run_with_timeout(scenario())


def test_an_invalid_frame_gets_an_error_and_the_connection_stays_open(
    ann: ChatUser, room: str
) -> None:
    async def scenario() -> None:
        async with open_in_room(room, ann) as (client,):
            for action, code in (("shout", "unknown_action"), ("join_room", "invalid_fields")):
                with pytest.raises(ChatError, match=code):
                    await client.request(action)
            await client.request("ping")

    run_with_timeout(scenario())


@pytest.mark.parametrize("count", [100, pytest.param(500, marks=pytest.mark.nightly)])
def test_all_connections_receive_every_message_once_and_in_order(
    people: list[ChatUser], count: int
) -> None:
    room = people[0].create_room()
    people[0].invite(room, *people[1:])

    async def scenario() -> None:
        clients = await open_connections(people, room, count)
        acks: list[int] = []

        async def send(sender: int) -> None:
            for number in range(MESSAGES_PER_SENDER):
                acks.append((await clients[sender].send(room, f"{sender}-{number}"))["seq"])

        await asyncio.gather(*(send(sender) for sender in range(SENDERS)))
        all_numbers = list(range(1, SENDERS * MESSAGES_PER_SENDER + 1))
        assert sorted(acks) == all_numbers
        await wait_until(
            lambda: all(len(client.messages[room]) == len(all_numbers) for client in clients), 90
        )
        for client in clients:
            assert [message["seq"] for message in client.messages[room]] == all_numbers
        await asyncio.gather(*(client.close() for client in clients))

    asyncio.run(asyncio.wait_for(scenario(), 240))


@pytest.mark.exclusive
def test_messages_are_stored_and_health_reports_503_without_the_cache(
    own_platform: Platform, ann: ChatUser, bob: ChatUser, room: str
) -> None:
    root, api = Root(own_platform.root), Api(own_platform.api_url)
    processes = Processes(root)

    async def scenario() -> None:
        async with open_in_room(room, ann, bob) as (first, second):
            process = processes.get("cache")
            assert process is not None
            await asyncio.to_thread(processes.stop, process)
            try:
                assert (await first.send(room, "1"))["seq"] == 1
                with pytest.raises(ChatError, match="not_joined"):
                    await first.request("typing_start", roomId=room)
                await asyncio.to_thread(wait_for, lambda: api.get("/health").status == 503)
            finally:
                await asyncio.to_thread(EmbeddedCloud(root).start)
            # The connections survive the outage of the cache, and receive the message that was
            # stored during the outage.
            await wait_until(lambda: list_texts(second, room) == ["1"], 60)
            await first.send(room, "2")
            await wait_until(
                lambda: list_texts(first, room) == list_texts(second, room) == ["1", "2"]
            )
            await asyncio.to_thread(wait_for, lambda: api.get("/health").status == 200)

    run_with_timeout(scenario())
