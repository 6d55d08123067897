"""Manages the HTTP connections and the open files of the embedded AWS."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Any

import hypercorn.asyncio.run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config

KEEP_ALIVE = 120.0
"""Seconds until the server closes an idle connection.

Terraform's provider closes it after 90 s, so the server never closes it first.
"""
DESCRIPTORS = 10240
"""Maximum number of open files. By default, macOS allows a process no more than this."""


class ClosingServer(TCPServer):
    """Closes a connection when the client closes it.

    hypercorn's own server would keep the connection until the idle timeout.
    """

    _has_client_closed = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._has_client_closed = True
        await self.idle_task.stop()

    async def _close(self) -> None:
        # asyncio raises TimeoutError if the client does not acknowledge the end of TLS in time.
        with suppress(TimeoutError):
            await super()._close()

    async def _idle_timeout(self) -> None:
        # hypercorn starts an idle timeout after each response, even if the connection is closed.
        if not self._has_client_closed:
            await super()._idle_timeout()


def manage_connections() -> None:
    """Keeps idle connections for KEEP_ALIVE seconds, or until clients close them.

    ministack closes connections after 75 s, but Terraform's provider (Go's HTTP client) reuses
    connections for 90 s. If a request arrives while the server closes the connection, the request
    is executed but its response is lost. The provider's retry then fails, because the resource
    already exists.
    """
    # ministack assigns 75 s to each new configuration. This property ignores the assignment.
    timeout: Any = property(lambda _: KEEP_ALIVE, lambda *_: None)
    Config.keep_alive_timeout = timeout
    Config.keep_alive_max_requests = 2**63
    hypercorn.asyncio.run.TCPServer = ClosingServer  # type: ignore[attr-defined]


def raise_descriptor_limit() -> None:
    """Raises the process's limit of open files to DESCRIPTORS, or to the hard limit if lower.

    ministack would raise the limit to the hard limit. This fails on macOS if the hard limit is
    infinite.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
