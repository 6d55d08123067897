"""Sends smoke test requests over HTTP, or by invoking Lambda functions directly."""

from __future__ import annotations

import base64
import json
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl, quote

import urllib3

from environments.resource_names import ALIAS
from ops.functions.versions import Functions
from ops.smoke.suite import Event, Suite

TIMEOUT = 30.0
"""Seconds to wait for a response. API Gateway itself returns an error after 29."""
RESUMING = "database_unavailable"
"""The error code in a response body while the database resumes from a pause."""
RESUME_ATTEMPTS = 5
"""Maximum number of attempts to send a request while the database resumes.

An attempt takes 7 s, and is followed by a wait of 5 s (Retry-After). A database that was paused for
a day takes more than 30 s to resume.
"""
UPGRADED = 101
"""The HTTP status of an opened WebSocket."""


@dataclass(frozen=True)
class HttpRequest:
    """A request with its variables resolved."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None
    token: str | None


@dataclass(frozen=True)
class Response:
    """The response to a smoke test's request."""

    status: int
    """The HTTP status. 0 if there was no response."""
    body: Any
    error: str = field(default="", repr=False)
    """The connection error or the error of the Lambda function. Empty after a success."""


Exchange = Callable[[Mapping[str, Any]], Response]
"""A function that sends a frame and returns the response to it."""


class Transport(Protocol):
    """The interface that sends smoke test requests to a service."""

    def send(self, suite: Suite, request: HttpRequest) -> Response:
        """Sends a request of a smoke test. Does not raise if the service fails, but sets
        `Response.error`.
        """


@runtime_checkable
class DirectTransport(Transport, Protocol):
    """Invokes Lambda functions directly, so this transport can also send events."""

    def invoke(self, suite: Suite, event: Event) -> Response:
        """Sends an event. Reports failures in the response, as `send` does."""


@runtime_checkable
class SocketTransport(Transport, Protocol):
    """Connects to the WebSocket API."""

    def open(self, ticket: str) -> AbstractContextManager[tuple[Response, Exchange]]:
        """Opens a WebSocket for the duration of a `with` block.

        Yields the response to the connection request, and a function that sends a frame. Does not
        raise if the service fails.
        """


class Http:
    """Sends requests over the network, as clients do.

    Args:
        address: the URL of the REST API.
        socket_address: the URL of the WebSocket API.
        authority: the path of a PEM file with the trusted certificate authorities. By default, the
            authorities of the operating system.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        address: str,
        socket_address: str,
        authority: str | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._address, self._socket_address = address, socket_address
        self._tls = (
            ssl.create_default_context(cafile=authority)
            if socket_address.startswith("wss:")
            else None
        )
        self._pool = urllib3.PoolManager(
            retries=False, timeout=TIMEOUT, maxsize=8, ca_certs=authority
        )

    def send(self, suite: Suite, request: HttpRequest) -> Response:  # noqa: ARG002
        headers = dict(request.headers)
        if request.token:
            headers["Authorization"] = f"Bearer {request.token}"
        content = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(request.body).encode()
        for attempt in range(RESUME_ATTEMPTS):
            try:
                response = self._pool.request(
                    request.method,
                    self._address + request.path,
                    headers=headers,
                    body=content,
                    redirect=False,
                )
            except urllib3.exceptions.HTTPError as error:
                return Response(0, None, type(error).__name__)
            body = _json(response.data.decode(errors="replace"))
            is_resuming = isinstance(body, dict) and body.get("code") == RESUMING
            if not is_resuming or attempt == RESUME_ATTEMPTS - 1:
                break
            self._sleep(float(response.headers.get("Retry-After", 5)))
        return Response(response.status, body)

    @contextmanager
    def open(self, ticket: str) -> Iterator[tuple[Response, Exchange]]:
        # Releases use this module but need no WebSocket client, so only this function imports it.
        from websockets.exceptions import InvalidStatus, WebSocketException  # noqa: PLC0415
        from websockets.sync.client import connect  # noqa: PLC0415

        def not_open(_: Mapping[str, Any]) -> Response:
            return Response(0, None, "the WebSocket is not open")

        try:
            socket = connect(
                f"{self._socket_address}?ticket={quote(ticket)}",
                open_timeout=TIMEOUT,
                proxy=None,
                ssl=self._tls,
            )
        except InvalidStatus as error:
            yield Response(error.response.status_code, None), not_open
            return
        except (WebSocketException, OSError) as error:
            yield Response(0, None, type(error).__name__), not_open
            return

        def exchange(frame: Mapping[str, Any]) -> Response:
            try:
                socket.send(json.dumps(frame))
                end = time.monotonic() + TIMEOUT
                while True:  # other frames of the room may arrive before the response
                    body = json.loads(socket.recv(timeout=max(0.0, end - time.monotonic())))
                    if isinstance(body, dict) and body.get("requestId") == frame["requestId"]:
                        return Response(UPGRADED, body)
            except (WebSocketException, OSError, ValueError) as error:
                return Response(0, None, type(error).__name__)

        with socket:
            yield Response(UPGRADED, None), exchange


class InvocationTransport:
    """Sends requests by invoking Lambda functions directly.

    Args:
        functions: the environment's Lambda functions.
        versions: the function version to invoke, by service. The default is the live alias.
    """

    def __init__(self, functions: Functions, versions: Mapping[str, str] | None = None) -> None:
        self._functions = functions
        self._versions = versions or {}

    def send(self, suite: Suite, request: HttpRequest) -> Response:
        response = self._call(suite.service, rest_event(suite, request))
        if (
            response.status == 0
            or not isinstance(response.body, dict)
            or "statusCode" not in response.body
        ):
            return Response(0, None, response.error or "the result is not an API Gateway response")
        return Response(int(response.body["statusCode"]), _json(response.body.get("body") or ""))

    def invoke(self, suite: Suite, event: Event) -> Response:
        return self._call(suite.service, event.event)

    def _call(self, service: str, event: Mapping[str, Any]) -> Response:
        response = self._functions.client.invoke(
            FunctionName=self._functions.names[service],
            Qualifier=self._versions.get(service, ALIAS),
            Payload=json.dumps(event).encode(),
        )
        body = _json(response["Payload"].read().decode(errors="replace"))
        if response.get("FunctionError"):
            raised = body.get("errorMessage", "") if isinstance(body, dict) else ""
            return Response(0, body, str(raised) or "unknown error")
        return Response(200, body)


def rest_event(suite: Suite, request: HttpRequest) -> dict[str, Any]:
    """Returns the event that API Gateway's proxy integration would send for a request.

    Includes the authorizer's context, except for services whose routes are public.
    """
    path, _, query = request.path.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    headers = {
        **request.headers,
        **({"Content-Type": "application/json"} if request.body is not None else {}),
    }
    if request.token:
        headers["Authorization"] = f"Bearer {request.token}"
    base = suite.path or path
    authorizer = {} if suite.public or not request.token else authorizer_context(request.token)
    return {
        "resource": base if path == base else base + "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": parameters or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in parameters.items()}
        or None,
        "pathParameters": None if path == base else {"proxy": path.removeprefix(base).lstrip("/")},
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "httpMethod": request.method,
            "path": path,
            "identity": {"sourceIp": "127.0.0.1", "userAgent": "smoke"},
            "authorizer": authorizer,
        },
        "body": None if request.body is None else json.dumps(request.body),
        "isBase64Encoded": False,
    }


def authorizer_context(token: str) -> dict[str, str]:
    """Returns the context that the authorizer would pass for a valid token."""
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
