"""A chat client that needs nothing but the API contract: it joins, orders, drops repeats, fills gaps and connects again."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Fetch = Callable[[str, int], Awaitable[list[dict[str, Any]]]]
"""Messages of a room that follow a number, oldest first: GET /rooms/{roomId}/messages?afterSeq=."""


class ChatError(Exception):
    """The server answered a frame with an error; the message is its code."""


class ChatClient:
    """One user's view of some rooms: `messages` are each room's from the moment of joining, in order, each once."""

    def __init__(
        self,
        open_address: Callable[[], Awaitable[str]],
        fetch: Fetch,
        *,
        answer_within: float = 30.0,
    ) -> None:
        """`open_address` gives an address with a fresh ticket each time; `answer_within` is in seconds."""
        self.messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.signals: list[dict[str, Any]] = []
        self.repeats = 0
        self.filled = 0
        self._open_address, self._fetch, self._answer_within = open_address, fetch, answer_within
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._early: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self._last: dict[str, int] = {}
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self.fill_after = 1.0
        """Seconds that a gap may close by itself before it is filled: frames overtake one another."""
        self.reading = asyncio.Event()
        """While it is not set, the client takes no frame from its socket."""
        self.reading.set()

    async def open(self) -> None:
        """Connects, and joins again the rooms it was in."""
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

    @property
    def closed(self) -> bool:
        """Whether the server, or this client, has ended the connection."""
        return self._reader is None or self._reader.done()

    async def join(self, room: str) -> dict[str, Any]:
        """Joins a room; a room that it was in before is caught up with."""
        ack = await self.request("join_room", roomId=room)
        if room in self._last and self._last[room] < ack["seq"]:
            await self._fill(room)
        self._last.setdefault(room, ack["seq"])
        return ack

    async def send(self, room: str, content: str, **more: Any) -> dict[str, Any]:
        """Sends a message, again and again under one name until it is acknowledged: it is stored once."""
        name = uuid.uuid4().hex
        while True:
            try:
                return await self.request(
                    "send_message", roomId=room, content=content, clientMessageId=name, **more
                )
            except ChatError as error:
                if str(error) != "not_joined":
                    raise
                await self.join(room)
            except (ConnectionClosed, TimeoutError):
                await self.open()

    async def request(self, action: str, **members: Any) -> dict[str, Any]:
        """Sends a frame and gives its ack. Raises ChatError, ConnectionClosed or TimeoutError."""
        assert self._socket is not None, "open it first"
        request_id = uuid.uuid4().hex
        answer: asyncio.Future[dict[str, Any]]
        answer = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"action": action, "requestId": request_id, **members}))
        frame = await asyncio.wait_for(answer, self._answer_within)
        if frame["type"] == "error":
            raise ChatError(frame["code"])
        return frame

    async def _read(self, socket: ClientConnection) -> None:
        background: set[asyncio.Task[Any]] = set()
        async for text in socket:
            await self.reading.wait()
            frame = json.loads(text)
            if frame["type"] in {"ack", "error"}:
                answer = self._waiting.pop(frame["requestId"] or "", None)
                if answer and not answer.done():
                    answer.set_result(frame)
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

    def _take(self, message: dict[str, Any]) -> bool:
        """Puts a message in its place; tells whether others are missing before it."""
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
