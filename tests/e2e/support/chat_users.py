"""Chat users of the running platform, with any number of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from websockets.exceptions import InvalidStatus

from lambdas.common.caller import Caller
from lambdas.common.signing.tickets import TicketStore
from tests.chat_client import ChatClient
from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person

MAX_OPENING_CONNECTIONS = 8
"""Maximum number of connections that are being opened at the same time.

The embedded API Gateway opens connections one after the other. If too many wait, their tickets
expire after 30 s. The embedded Lambda runs at most 14 invocations at the same time.
"""


class ChatUser:
    """A chat user, who calls the HTTP API and opens WebSocket connections."""

    def __init__(self, platform: Platform, person: Person) -> None:
        self._platform = platform
        self._api = Api(platform.api_url)
        self._tickets = TicketStore(platform.aws("dynamodb"), "chat-tickets-local")
        self.person = person
        self.user_id = person.user_id
        # Only users with a profile can be invited. The first read creates the profile.
        self._api.call("GET", "/v1/profile", token=person.access_token).expect(200)

    def call(self, method: str, path: str, body: object = None, **options: Any) -> ApiResponse:
        return self._api.call(
            method, f"/v1/chat{path}", body, token=self.person.access_token, **options
        )

    def create_room(self, type_: str = "private", **fields: Any) -> str:
        return str(
            self.call("POST", "/rooms", {"name": "Room", "type": type_, **fields}).expect(201)[
                "roomId"
            ]
        )

    def invite(self, room: str, *invited: ChatUser) -> None:
        for user in invited:
            self.call("POST", f"/rooms/{room}/members", {"userId": user.user_id}).expect(201)

    def send_message(self, room: str, content: str = "Hello", **fields: Any) -> Any:
        return self.call("POST", f"/rooms/{room}/messages", {"content": content, **fields}).expect(
            201
        )

    def create_client(self) -> ChatClient:
        """Returns a client that is not connected yet and requests its tickets from the API."""
        return ChatClient(self.create_address, self._fetch_messages)

    def create_fast_client(self) -> ChatClient:
        """Returns a client that is not connected yet and writes its tickets to DynamoDB.

        This is faster than requesting tickets from the API.
        """
        claims = self.person.claims
        caller = Caller(
            claims["sub"], claims["sid"], frozenset(claims["roles"]), frozenset(), claims["exp"]
        )

        async def create_address() -> str:
            ticket = await asyncio.to_thread(self._tickets.issue, caller, "Ada")
            return f"{self._platform.ws_url}?ticket={ticket}"

        return ChatClient(create_address, self._fetch_messages, timeout=120)

    async def create_address(self) -> str:
        """Returns a WebSocket address with a new ticket."""
        response = await asyncio.to_thread(self.call, "POST", "/tickets", {})
        return f"{self._platform.ws_url}?ticket={response.expect(201)['ticket']}"

    async def _fetch_messages(self, room: str, after: int) -> list[dict[str, Any]]:
        path = f"/rooms/{room}/messages?afterSeq={after}&limit=100"
        items: list[dict[str, Any]] = (await asyncio.to_thread(self.call, "GET", path)).expect(200)[
            "items"
        ]
        return items


async def open_connections(users: Sequence[ChatUser], room: str, count: int) -> list[ChatClient]:
    """Opens `count` connections to a room, distributed evenly among the users."""
    clients = [users[index % len(users)].create_fast_client() for index in range(count)]
    slots = asyncio.Semaphore(MAX_OPENING_CONNECTIONS)

    async def open_connection(client: ChatClient) -> None:
        async with slots:
            for attempt in range(3):
                try:
                    await client.open()
                    break
                except InvalidStatus:  # on a busy machine the ticket can expire before use
                    if attempt == 2:
                        raise
            await client.join(room)

    await asyncio.gather(*map(open_connection, clients))
    return clients
