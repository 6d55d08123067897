"""A client of the console's application that needs no server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message

PORT = 4321
TOKEN = "the-token-of-this-test"
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"
COOKIE = f"console-{PORT}={TOKEN}"


@dataclass(frozen=True)
class ConsoleResponse:
    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class ConsoleClient:
    """Sends requests like a page of the console. A header with the value None is not sent."""

    app: ASGIApp

    def get(self, path: str, **headers: str | None) -> ConsoleResponse:
        return self.send("GET", path, b"", {"cookie": COOKIE, **headers})

    def post(self, path: str, body: object, **headers: str | None) -> ConsoleResponse:
        defaults = {"cookie": COOKIE, "origin": ORIGIN, "content_type": "application/json"}
        return self.send("POST", path, json.dumps(body).encode(), {**defaults, **headers})

    def send(
        self, method: str, path: str, body: bytes, headers: dict[str, str | None]
    ) -> ConsoleResponse:
        sent: list[Message] = []
        requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        path, _, query = path.partition("?")
        fields = {"host": HOST, **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in fields.items()
                if value is not None
            ],
            "http_version": "1.1",
            "scheme": "http",
        }

        async def receive() -> Message:
            # After its request, the client waits for the response and does not disconnect.
            return requests.pop() if requests else await asyncio.Future()

        async def send(message: Message) -> None:
            sent.append(message)

        async def run() -> None:
            await self.app(scope, receive, send)

        asyncio.run(run())
        start = sent[0]
        return ConsoleResponse(
            start["status"],
            Headers(raw=start["headers"]),
            b"".join(message.get("body", b"") for message in sent[1:]),
        )
