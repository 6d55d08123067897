"""Sends frames to the WebSocket API of the running platform, and checks the responses."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from lambdas.chat.frames import FRAME_LIMIT
from tests.api_description import MessageDescription
from tests.e2e.fuzz.values import Json, resolve
from tests.e2e.fuzz.world import SLOW, World

ROOMS = 4
"""Number of rooms that each connection joins. Generated frames refer to these rooms."""


class Sockets:
    """A connection of a registered user, and another of an anonymous user."""

    def __init__(self, world: World) -> None:
        self.outcomes: Counter[str] = Counter()
        self._world = world
        self._open: dict[str, ClientConnection] = {}
        self._rooms = [
            world.call("user", "POST", "/v1/chat/rooms", {"name": "Frames", "type": "public"})
            for _ in range(ROOMS)
        ]
        # Generated frames name only rooms that `world.memory` contains.
        world.memory.learn(self._rooms, {})

    def check(self, caller: str, frame: Json) -> None:
        """Sends a frame. Fails with the frame's text if the response is wrong, missing or slow."""
        context = {"roomId": self._rooms[len(json.dumps(repr(frame))) % ROOMS]["roomId"]}
        chosen = resolve(frame, lambda wanted: self._world.memory.choose(wanted, context))
        text = chosen if isinstance(chosen, str) else json.dumps(chosen)
        socket = self._open.get(caller) or self._connect(caller)
        started = time.monotonic()
        try:
            # A WebSocket transports only text that can be encoded as UTF-8.
            socket.send(text.encode(errors="replace").decode())
            response = _response(socket)
            if "type" in response:
                defect = "; ".join(MessageDescription.load().find_defects(response))
                self.outcomes[response.get("code", "ack")] += 1
                if response.get("code") == "not_joined" and context["roomId"] in text:
                    # An earlier generated frame made this connection leave that room.
                    self._join_rooms(socket)
            else:
                defect = f"API Gateway returned an error: {response}"
        except ConnectionClosed as closed:
            self._open.pop(caller)
            # A closed connection is a defect unless the frame exceeds the limit of API Gateway,
            # which then closes the connection.
            defect = "" if len(text.encode(errors="replace")) > FRAME_LIMIT else str(closed)
        except TimeoutError:
            self._open.pop(caller)
            defect = f"no response within {12 * SLOW:.0f} s"
        if not defect and time.monotonic() - started > SLOW and not self._world.is_busy():
            defect = f"the response took more than {SLOW:.0f} s"
        assert not defect, f"{defect}\n{caller} sent this frame:\n{text[:4000]}"

    def _connect(self, caller: str) -> ClientConnection:
        ticket = self._world.call(caller, "POST", "/v1/chat/tickets", {})["ticket"]
        address = f"{self._world.platform.ws_url}?ticket={ticket}"
        # The client must not send pings, because its ping thread uses `random`. Hypothesis would
        # report that a strategy uses `random`.
        socket = self._open[caller] = connect(
            address, proxy=None, max_size=None, legacy=True, ping_interval=None
        )
        self._join_rooms(socket)
        return socket

    def _join_rooms(self, socket: ClientConnection) -> None:
        for room in self._rooms:
            socket.send(json.dumps({"action": "join_room", "roomId": room["roomId"]}))
            assert _response(socket)["type"] == "ack"


def _response(socket: ClientConnection) -> Any:
    """Returns the next ack or error. Raises TimeoutError or ConnectionClosed.

    Errors of API Gateway itself have no type.
    """
    while True:
        frame = json.loads(socket.recv(timeout=12 * SLOW))
        if frame.get("type", "error") in {"ack", "error"}:
            return frame
