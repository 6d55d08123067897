"""How smoke requests reach a service: over HTTP as everybody's do, or by invoking a version that nobody else reaches yet."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl, quote

import urllib3

from ops.functions.versions import ALIAS, Functions
from ops.smoke.suite import Event, Suite

TIMEOUT = 30.0
"""Seconds for one answer: API Gateway waits 29."""
UPGRADED = 101
"""HTTP's status of a WebSocket that is open."""


@dataclass(frozen=True)
class Ask:
    """One request with its variables filled in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None
    token: str | None


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    """0: nothing."""
    body: Any
    error: str = field(default="", repr=False)
    """Why nothing came, or what the function raised."""


Exchange = Callable[[Mapping[str, Any]], Reply]
"""Sends a frame and gives its answer."""


class Transport(Protocol):
    """Brings requests to a service."""

    def send(self, suite: Suite, ask: Ask) -> Reply:
        """Never raises for what a service does."""


@runtime_checkable
class DirectTransport(Transport, Protocol):
    """Reaches functions themselves, so it brings events as well."""

    def invoke(self, suite: Suite, event: Event) -> Reply:
        """The same for an event."""


@runtime_checkable
class SocketTransport(Transport, Protocol):
    """Reaches the WebSocket API."""

    def open(self, ticket: str) -> AbstractContextManager[tuple[Reply, Exchange]]:
        """A WebSocket while the block lasts: what came of opening it, and how frames are sent. Never raises for what a service does."""


class Http:
    """The APIs as everybody reaches them.

    Args:
        address: of the REST API.
        socket_address: of the WebSocket API.
    """

    def __init__(self, address: str, socket_address: str) -> None:
        self._address, self._socket_address = address, socket_address
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT, maxsize=8)

    def send(self, suite: Suite, ask: Ask) -> Reply:  # noqa: ARG002 - the path says it
        headers = dict(ask.headers)
        if ask.token:
            headers["Authorization"] = f"Bearer {ask.token}"
        content = None
        if ask.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(ask.body).encode()
        try:
            reply = self._pool.request(
                ask.method, self._address + ask.path, headers=headers, body=content, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            return Reply(0, None, type(error).__name__)
        return Reply(reply.status, _json(reply.data.decode(errors="replace")))

    @contextmanager
    def open(self, ticket: str) -> Iterator[tuple[Reply, Exchange]]:
        from websockets.exceptions import InvalidStatus, WebSocketException  # noqa: PLC0415 - releases need none
        from websockets.sync.client import connect  # noqa: PLC0415

        def nothing(_: Mapping[str, Any]) -> Reply:
            return Reply(0, None, "no WebSocket")

        try:
            socket = connect(
                f"{self._socket_address}?ticket={quote(ticket)}", open_timeout=TIMEOUT, proxy=None
            )
        except InvalidStatus as error:
            yield Reply(error.response.status_code, None), nothing
            return
        except (WebSocketException, OSError) as error:
            yield Reply(0, None, type(error).__name__), nothing
            return

        def exchange(frame: Mapping[str, Any]) -> Reply:
            try:
                socket.send(json.dumps(frame))
                end = time.monotonic() + TIMEOUT
                while True:  # frames of the room come between
                    body = json.loads(socket.recv(timeout=max(0.0, end - time.monotonic())))
                    if isinstance(body, dict) and body.get("requestId") == frame["requestId"]:
                        return Reply(UPGRADED, body)
            except (WebSocketException, OSError, ValueError) as error:
                return Reply(0, None, type(error).__name__)

        with socket:
            yield Reply(UPGRADED, None), exchange


class Invocation:
    """The functions themselves.

    Args:
        functions: the environment's.
        versions: which version of a service is asked; services that are not named are asked by their alias.
    """

    def __init__(self, functions: Functions, versions: Mapping[str, str] | None = None) -> None:
        self._functions = functions
        self._versions = versions or {}

    def send(self, suite: Suite, ask: Ask) -> Reply:
        reply = self._call(suite.service, rest_event(suite, ask))
        if reply.status == 0 or not isinstance(reply.body, dict) or "statusCode" not in reply.body:
            return Reply(0, None, reply.error or "no answer of API Gateway's form")
        return Reply(int(reply.body["statusCode"]), _json(reply.body.get("body") or ""))

    def invoke(self, suite: Suite, event: Event) -> Reply:
        return self._call(suite.service, event.event)

    def _call(self, service: str, event: Mapping[str, Any]) -> Reply:
        reply = self._functions.client.invoke(
            FunctionName=self._functions.names[service],
            Qualifier=self._versions.get(service, ALIAS),
            Payload=json.dumps(event).encode(),
        )
        body = _json(reply["Payload"].read().decode(errors="replace"))
        if reply.get("FunctionError"):
            raised = body.get("errorMessage", "") if isinstance(body, dict) else ""
            return Reply(0, body, str(raised) or "an error")
        return Reply(200, body)


def rest_event(suite: Suite, ask: Ask) -> dict[str, Any]:
    """The event that API Gateway's proxy integration would make of a request, behind the authorizer where there is one."""
    path, _, query = ask.path.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    headers = {
        **ask.headers,
        **({"Content-Type": "application/json"} if ask.body is not None else {}),
    }
    if ask.token:
        headers["Authorization"] = f"Bearer {ask.token}"
    base = suite.path or path
    authorizer = {} if suite.public or not ask.token else _context(ask.token)
    return {
        "resource": base if path == base else base + "/{proxy+}",
        "path": path,
        "httpMethod": ask.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": parameters or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in parameters.items()}
        or None,
        "pathParameters": None if path == base else {"proxy": path.removeprefix(base).lstrip("/")},
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "httpMethod": ask.method,
            "path": path,
            "identity": {"sourceIp": "127.0.0.1", "userAgent": "smoke"},
            "authorizer": authorizer,
        },
        "body": None if ask.body is None else json.dumps(ask.body),
        "isBase64Encoded": False,
    }


def _context(token: str) -> dict[str, str]:
    """What the authorizer passes on, from a token that was issued a moment ago."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return {
        "sub": claims["sub"],
        "sid": claims["sid"],
        "roles": ",".join(sorted(claims.get("roles", []))),
        "cap": ",".join(sorted(claims.get("cap", []))),
        "exp": str(claims["exp"]),
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except json.JSONDecodeError:
        return text
