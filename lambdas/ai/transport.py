"""JSON over HTTP with a hard limit on the whole exchange, in time and in bytes.

`http.client` and not a library: their time-outs are for each wait on the socket, so that a server which sends a byte now and then
is waited for without end (docs/decisions/0051). A connection serves one exchange: beside seconds of a model's work a handshake is
nothing, and a kept one may be half closed when it is used again.
"""

import socket
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from lambdas.ai.providers import Failure, ProviderError

CONNECT_TIMEOUT = 3.0
"""Seconds for TCP and TLS together; within them a server across the world answers."""

BODY_LIMIT = 1024 * 1024
"""Bytes of an answer at most: the longest text, each character escaped (`\\u0000`), and the members around it."""


class Reply(Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds, where the answer says them as a number."""


def post_json(url: str, document: Any, headers: dict[str, str], timeout: float) -> Reply:
    """Posts a document and waits `timeout` seconds at most. Redirects are not followed: they would take the key elsewhere.

    Raises:
        ProviderError: unreachable, timeout, broken_off; malformed if the answer is longer than BODY_LIMIT.
    """
    exchange = _Exchange(url, msgspec.json.encode(document), headers, timeout)
    # A thread, since neither name resolution nor a server's slow headers can be given up otherwise.
    thread = threading.Thread(target=exchange.run, name="provider-call", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        exchange.abandon()
        raise ProviderError(Failure.TIMEOUT)
    if exchange.reply is None:
        raise ProviderError(exchange.failure)
    return exchange.reply


class _Exchange:
    """One request and its answer, run in a thread of its own; nothing is raised there, so nothing is printed."""

    def __init__(self, url: str, content: bytes, headers: dict[str, str], timeout: float) -> None:
        self.reply: Reply | None = None
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
            # Broken off; ValueError is a header that cannot be sent, with its value in the message.
            return
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Ends the thread's wait; it closes the connection itself."""
        self._abandoned.set()
        with suppress(OSError, AttributeError):  # not connected yet, or closed meanwhile
            self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self) -> None:
        self._connection.request("POST", self._path, self._content, self._headers)
        response = self._connection.getresponse()
        body = response.read(BODY_LIMIT + 1)
        if len(body) > BODY_LIMIT:
            self.failure = Failure.MALFORMED
        elif not response.length:  # else the connection ended before the announced length
            self.reply = Reply(response.status, body, _seconds(response.getheader("Retry-After")))


def _seconds(value: str | None) -> float | None:
    """A Retry-After in seconds; its other form, a date, is never as short as what is waited for here."""
    return float(value) if value and value.isascii() and value.isdigit() else None


def check(reply: Reply) -> None:
    """Raises ProviderError unless the status is 200."""
    if reply.status == 200:
        return
    if reply.status == 429:
        raise ProviderError(Failure.RATE_LIMITED, reply.retry_after)
    if reply.status in {401, 403}:
        raise ProviderError(Failure.KEY_REFUSED)
    if reply.status == 404:
        raise ProviderError(Failure.NOT_FOUND)
    if reply.status in {400, 413, 422}:
        raise ProviderError(Failure.REJECTED)
    if reply.status >= 500:
        raise ProviderError(Failure.SERVER_ERROR, reply.retry_after)
    raise ProviderError(Failure.MALFORMED)
