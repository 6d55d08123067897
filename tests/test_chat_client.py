"""Tests how the chat client of the tests handles errors of API Gateway itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.chat_client import ChatClient, GatewayError

GATEWAY_ERROR = {"message": "Internal server error", "connectionId": "c", "requestId": "r"}
"""The error that API Gateway sends if the function fails.

Its `requestId` is API Gateway's own id, not the id that the client sent.
"""


async def fetch_nothing(room: str, after: int) -> list[dict[str, Any]]:
    return []


def test_the_client_resends_a_message_after_an_error_of_the_gateway() -> None:
    frames: list[dict[str, Any]] = []

    async def respond(connection: ServerConnection) -> None:
        async for text in connection:
            frame = json.loads(text)
            frames.append(frame)
            response: dict[str, Any] = {**GATEWAY_ERROR}
            if len(frames) > 1:
                response = {
                    "type": "ack",
                    "requestId": frame["requestId"],
                    "action": "send_message",
                    "roomId": "room",
                    "messageId": "room-1",
                    "seq": 1,
                    "timestamp": "2026-01-31T09:30:00.000Z",
                }
            await connection.send(json.dumps(response))

    async def scenario() -> None:
        async with serve(respond, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]

            async def address() -> str:
                return f"ws://127.0.0.1:{port}"

            client = ChatClient(address, fetch_nothing, timeout=10)
            await client.open()
            assert (await client.send("room", "Hello"))["seq"] == 1
            assert len({frame["clientMessageId"] for frame in frames}) == 1
            frames.clear()
            with pytest.raises(GatewayError, match="Internal server error"):
                await client.request("ping")
            await client.close()

    asyncio.run(scenario())
