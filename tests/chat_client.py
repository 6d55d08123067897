"""A chat client that uses only the API contract.

It joins rooms, orders messages, drops duplicates, fetches missing messages, and reconnects.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.api_description import MessageDescription

Fetch = Callable[[str, int], Awaitable[list[dict[str, Any]]]]
"""A function that returns a room's messages after a message number, oldest first (`?afterSeq=`)."""


class ChatError(Exception):
    """The server returned an error for a frame. `str(error)` is the error code."""


class GatewayError(Exception):
    """API Gateway itself returned an error, so the outcome of the request is unknown."""


class ChatClient:
    """A connection of one user, with the messages of the rooms that it joined.

    `defects` describes each difference between a received frame and docs/api/asyncapi.json.
    `messages` contains each room's messages since the user joined, in order and without duplicates.

    Args:
        open_address: returns a WebSocket address with a new ticket.
        fetch: fetches missing messages.
        timeout: seconds to wait for the response to a frame.
    """

    def __init__(
        self,
        open_address: Callable[[], Awaitable[str]],
        fetch: Fetch,
        *,
        timeout: float = 30.0,
    ) -> None:
        self.messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.signals: list[dict[str, Any]] = []
        self.defects: list[str] = []
        self.repeats = 0
        self.filled = 0
        self._open_address, self._fetch, self._timeout = open_address, fetch, timeout
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._early: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self._last: dict[str, int] = {}
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self.fill_after = 1.0
        """Seconds to wait for a missing message before fetching it, because its frame may arrive
        after the frames of later messages.
        """
        self.reading = asyncio.Event()
        """Clear this event to stop the client from reading frames."""
        self.reading.set()

    async def open(self) -> None:
        """Connects, and rejoins the rooms of the previous connection."""
        self._socket = await connect(
            await self._open_address(), proxy=None, open_timeout=120, ping_interval=None
        )
        self._reader = asyncio.create_task(self._read(self._socket))
        for room in list(self._last):
            await self.join(room)

    async def close(self) -> None:
        if self._socket and self._reader:
            self.reading.set()
            await self._socket.close()
            await self._reader
        assert not self.defects, self.defects

    @property
    def closed(self) -> bool:
        """True if the server or this client has closed the connection."""
        return self._reader is None or self._reader.done()

    async def join(self, room: str) -> dict[str, Any]:
        """Joins a room. If the client joined it before, fetches the messages missed since then."""
        ack = await self.request("join_room", roomId=room)
        if room in self._last and self._last[room] < ack["seq"]:
            await self._fill(room)
        self._last.setdefault(room, ack["seq"])
        return ack

    async def send(self, room: str, content: str, **fields: Any) -> dict[str, Any]:
        """Sends a message, and resends it until the server acknowledges it.

        Each attempt has the same `clientMessageId`, so the server stores the message only once.
        """
        client_id = uuid.uuid4().hex
        while True:
            try:
                return await self.request(
                    "send_message",
                    roomId=room,
                    content=content,
                    clientMessageId=client_id,
                    **fields,
                )
            except ChatError as error:
                if str(error) != "not_joined":
                    raise
                await self.join(room)
            except (ConnectionClosed, TimeoutError):
                await self.open()
            except GatewayError:
                await asyncio.sleep(0.1)

    async def request(self, action: str, **members: Any) -> dict[str, Any]:
        """Sends a frame and returns its ack.

        Raises ChatError, GatewayError, ConnectionClosed or TimeoutError.
        """
        assert self._socket is not None, "The client is not connected: call open() first"
        request_id = uuid.uuid4().hex
        response: asyncio.Future[dict[str, Any]]
        response = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"action": action, "requestId": request_id, **members}))
        frame = await asyncio.wait_for(response, self._timeout)
        if frame["type"] == "error":
            raise ChatError(frame["code"])
        return frame

    async def _read(self, socket: ClientConnection) -> None:
        background: set[asyncio.Task[Any]] = set()
        async for text in socket:
            await self.reading.wait()
            frame = json.loads(text)
            if "type" not in frame:
                self._fail_requests(GatewayError(text))
                continue
            self.defects += MessageDescription.load().find_defects(frame)
            if frame["type"] in {"ack", "error"}:
                response = self._waiting.pop(frame["requestId"] or "", None)
                if response and not response.done():
                    response.set_result(frame)
            elif frame["type"] == "new_message":
                if self._take(frame["message"]):
                    background.add(asyncio.create_task(self._fill_later(frame["roomId"])))
            elif frame["type"] == "resync":
                rooms = [frame["roomId"]] if "roomId" in frame else list(self._last)
                background.update(asyncio.create_task(self.join(room)) for room in rooms)
            else:
                self.signals.append(frame)
        for task in background:
            task.cancel()

    def _fail_requests(self, error: GatewayError) -> None:
        """Fails all pending requests, because the error does not name the one that caused it."""
        for response in self._waiting.values():
            if not response.done():
                response.set_exception(error)
        self._waiting.clear()

    def _take(self, message: dict[str, Any]) -> bool:
        """Adds a message to the room's messages in order.

        Returns True if an earlier message is missing.
        """
        room, seq = message["roomId"], message["seq"]
        last = self._last.setdefault(room, seq - 1)
        if seq <= last or seq in self._early[room]:
            self.repeats += 1
            return False
        self._early[room][seq] = message
        while (following := self._early[room].pop(self._last[room] + 1, None)) is not None:
            self.messages[room].append(following)
            self._last[room] += 1
        return bool(self._early[room])

    async def _fill_later(self, room: str) -> None:
        await asyncio.sleep(self.fill_after)
        if self._early[room]:
            await self._fill(room)

    async def _fill(self, room: str) -> None:
        while missing := await self._fetch(room, self._last[room]):
            self.filled += sum(message["seq"] not in self._early[room] for message in missing)
            for message in missing:
                self._take(message)
