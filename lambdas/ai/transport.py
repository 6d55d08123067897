"""JSON over HTTP, with hard limits on the time and the bytes of a whole exchange.

HTTP libraries only limit each wait for the socket, so a server that sends one byte at a time could
delay a response forever (docs/decisions/0051). Every request opens a new connection, because the
server may have closed an earlier connection. A handshake takes little time compared to the model's
response.
"""

import socket
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from lambdas.ai.providers import Failure, ProviderError

T = TypeVar("T")

CONNECT_TIMEOUT = 3.0
"""Maximum seconds for the TCP handshake with each address of the server, and for the TLS handshake.

This is enough for a server on another continent.
"""

BODY_LIMIT = 1024 * 1024
"""Maximum bytes of a response. The longest completion fits even if all characters are escaped."""


class HttpResponse(Struct, frozen=True):
    status: int
    body: bytes
    retry_after: float | None = None
    """The Retry-After header in seconds, or None if it is missing or a date."""


def post_json(url: str, document: Any, headers: dict[str, str], timeout: float) -> HttpResponse:
    """Sends a POST request and returns the response within `timeout` seconds.

    Does not follow redirects, which would send the API key to another server.

    Raises:
        ProviderError: UNREACHABLE, TIMEOUT, BROKEN_OFF, or MALFORMED if the response is longer
            than BODY_LIMIT.
    """
    exchange = _Exchange(url, msgspec.json.encode(document), headers, timeout)
    # Uses a thread, because name resolution and slowly arriving headers cannot be interrupted.
    thread = threading.Thread(target=exchange.run, name="provider-call", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        exchange.abandon()
        raise ProviderError(Failure.TIMEOUT)
    if exchange.response is None:
        raise ProviderError(exchange.failure)
    return exchange.response


class _Exchange:
    """A request and its response. `run` is called in a separate thread and never raises."""

    def __init__(self, url: str, content: bytes, headers: dict[str, str], timeout: float) -> None:
        self.response: HttpResponse | None = None
        self.failure = Failure.BROKEN_OFF
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(
            parts.hostname or "", parts.port, timeout=min(timeout, CONNECT_TIMEOUT)
        )
        self._path = parts.path
        self._content = content
        self._headers = {
            **headers,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._timeout = timeout
        self._abandoned = threading.Event()

    def run(self) -> None:
        try:
            try:
                self._connection.connect()
            except OSError:
                self.failure = Failure.UNREACHABLE
                return
            if not self._abandoned.is_set():
                self._connection.sock.settimeout(self._timeout)
                self._exchange()
        except TimeoutError:
            self.failure = Failure.TIMEOUT
        except (OSError, HTTPException, ValueError):
            # The exception is not logged, because the message of a ValueError contains the invalid
            # header, which can be the API key.
            return
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Interrupts the thread that sends the request. The thread then closes the connection."""
        self._abandoned.set()
        # The errors occur if the connection is not open yet or already closed.
        with suppress(OSError, AttributeError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self) -> None:
        self._connection.request("POST", self._path, self._content, self._headers)
        response = self._connection.getresponse()
        body = response.read(BODY_LIMIT + 1)
        if len(body) > BODY_LIMIT:
            self.failure = Failure.MALFORMED
        elif not response.length:  # `length` is the number of missing bytes
            self.response = HttpResponse(
                response.status, body, _seconds(response.getheader("Retry-After"))
            )


def _seconds(value: str | None) -> float | None:
    """Parses a Retry-After in seconds. Returns None if it is missing or a date."""
    return float(value) if value and value.isascii() and value.isdigit() else None


def read_document(response: HttpResponse, model: type[T]) -> T:
    """Parses the body as an instance of the class `model`.

    Raises ProviderError if that fails or the status is not 200.
    """
    if response.status == 200:
        try:
            return msgspec.json.decode(response.body, type=model)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ProviderError(Failure.MALFORMED) from None
    if response.status == 429:
        raise ProviderError(Failure.RATE_LIMITED, response.retry_after)
    if response.status in {401, 403}:
        raise ProviderError(Failure.KEY_REFUSED)
    if response.status == 404:
        raise ProviderError(Failure.NOT_FOUND)
    if response.status in {400, 413, 422}:
        raise ProviderError(Failure.REJECTED)
    if response.status >= 500:
        raise ProviderError(Failure.SERVER_ERROR, response.retry_after)
    raise ProviderError(Failure.MALFORMED)
