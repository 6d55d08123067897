"""A local HTTP server that acts as a provider, for unit and end-to-end tests.

It checks each request against the published schema and responds with a scripted behaviour.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from tests.lambdas.ai.published import check_gemini, check_openai

KEY = "test-key-0123456789-0123456789-0123456789"
MODEL = "model-1"
Behaviour = Callable[["Exchange"], None]


@dataclass
class Received:
    """A request that matches the published schema."""

    path: str
    headers: dict[str, str]
    body: Any
    content: bytes


@dataclass
class Exchange:
    """A request, and the methods with which a behaviour responds to it."""

    handler: BaseHTTPRequestHandler
    provider: FakeProvider
    request: Received

    def send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: int = 0
    ) -> None:
        """Sends a response. The body is `cut` bytes shorter than its Content-Length."""
        self.handler.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(body[: len(body) - cut])

    def complete(self, text: str) -> None:
        """Sends a completion with this text."""
        self.send(200, json.dumps(self.provider.build_completion(text)).encode())


def send_text(text: str) -> Behaviour:
    """Returns a behaviour that sends a completion with this text."""
    return lambda exchange: exchange.complete(text)


def send_status(code: int, *, retry_after: str | None = None, body: object = None) -> Behaviour:
    """Returns a behaviour that sends an error status."""
    document = (
        body
        if body is not None
        else {"error": {"code": code, "message": "scripted error", "status": "X"}}
    )
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return lambda exchange: exchange.send(code, json.dumps(document).encode(), headers)


def send_json(body: object) -> Behaviour:
    """Returns a behaviour that sends status 200 and a JSON document."""
    return lambda exchange: exchange.send(200, json.dumps(body).encode())


def send_bytes(body: bytes) -> Behaviour:
    """Returns a behaviour that sends status 200 and these bytes."""
    return lambda exchange: exchange.send(200, body)


def send_late(seconds: float, text: str = "late") -> Behaviour:
    """Returns a behaviour that sends a completion after some seconds."""

    def behave(exchange: Exchange) -> None:
        exchange.provider.closing.wait(seconds)
        exchange.complete(text)

    return behave


def cut_body(exchange: Exchange) -> None:
    """Closes the connection in the middle of a valid body."""
    exchange.send(200, json.dumps(exchange.provider.build_completion("half")).encode(), cut=20)
    exchange.handler.close_connection = True


def cut_chunked_body(exchange: Exchange) -> None:
    """Closes the connection in the middle of a chunked body."""
    exchange.handler.protocol_version = "HTTP/1.1"
    exchange.handler.send_response(200)
    exchange.handler.send_header("Transfer-Encoding", "chunked")
    exchange.handler.end_headers()
    exchange.handler.wfile.write(b'40\r\n{"candidates": [')
    exchange.handler.close_connection = True


def hang(exchange: Exchange) -> None:
    """Never responds."""
    exchange.provider.closing.wait()


def drip(exchange: Exchange) -> None:
    """Sends a header byte by byte, so that each read of the socket succeeds before its timeout."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Endless: " + b"a" * 10_000:
        if exchange.provider.closing.wait(0.05):
            return
        try:
            exchange.handler.wfile.write(bytes([byte]))
        except OSError:
            return


def drip_body(exchange: Exchange) -> None:
    """Sends the body byte by byte, so that each read of the socket succeeds before its timeout."""
    exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    drip(exchange)


def disconnect(exchange: Exchange) -> None:
    """Closes the connection without a response."""
    exchange.handler.connection.shutdown(socket.SHUT_RDWR)
    exchange.handler.close_connection = True


@dataclass
class FakeProvider:
    """A fake provider. It responds with `behaviours` in order, and repeats the last behaviour."""

    kind: str
    """`gemini` or `openai`."""
    port: int = 0
    behaviours: list[Behaviour] = field(default_factory=lambda: [send_text("Hello.")])
    key: str = KEY
    usage: tuple[int, int] = (11, 7)
    requests: list[Received] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FakeProvider:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                provider._serve(self)

            def do_GET(self) -> None:
                provider.violations.append(f"GET {self.path}")
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """Ignores the errors that occur because the clients of some tests disconnect."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{'v1beta' if self.kind == 'gemini' else 'v1'}"

    def build_completion(self, text: str) -> dict[str, Any]:
        """Returns a response body with this text, in the format of the published reference."""
        tokens_in, tokens_out = self.usage
        if self.kind == "gemini":
            return {
                "candidates": [
                    {
                        "content": {"parts": [{"text": text}], "role": "model"},
                        "finishReason": "STOP",
                        "index": 0,
                        "safetyRatings": [],
                    }
                ],
                "usageMetadata": {
                    "promptTokenCount": tokens_in,
                    "candidatesTokenCount": tokens_out,
                    "totalTokenCount": tokens_in + tokens_out,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens_in}],
                },
                "modelVersion": f"{MODEL}-001",
                "responseId": "r-1",
            }
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": f"{MODEL}-2026-01-01",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": text,
                        "refusal": None,
                        "annotations": [],
                    },
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            "service_tier": "default",
        }

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        try:
            body = self._check(handler.path, headers, content)
        except (AssertionError, msgspec.MsgspecError, KeyError) as error:
            self.violations.append(f"{type(error).__name__}: {error}")
            handler.send_error(400)
            return
        request = Received(handler.path, headers, body, content)
        self.requests.append(request)
        behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
        behave(Exchange(handler, self, request))

    def _check(self, path: str, headers: dict[str, str], content: bytes) -> Any:
        """Returns the typed body. Raises if the provider would reject the request."""
        assert headers["content-type"] == "application/json"
        assert self.key not in path
        if self.kind == "gemini":
            assert path == f"/v1beta/models/{MODEL}:generateContent", path
            assert headers["x-goog-api-key"] == self.key
            return check_gemini(content)
        assert path == "/v1/chat/completions", path
        assert headers["authorization"] == f"Bearer {self.key}"
        request = check_openai(content)
        assert request.model == MODEL
        return request
