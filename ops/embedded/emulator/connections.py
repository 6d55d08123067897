"""Manages the HTTP connections and the open files of the embedded AWS."""

from __future__ import annotations

import resource
from typing import Any

import hypercorn.asyncio.run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config

KEEP_ALIVE = 120.0
"""Seconds. Terraform's provider closes an idle connection first, after 90 s."""
DESCRIPTORS = 10240
"""Limit of open files. By default, macOS allows a process no more."""


class ClosingServer(TCPServer):
    """Closes a connection as soon as its client does.

    hypercorn would keep the connection until the idle timeout.
    """

    _has_client_closed = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._has_client_closed = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        # hypercorn starts another idle timeout after each response, even to a closed connection.
        if not self._has_client_closed:
            await super()._idle_timeout()


def manage_connections() -> None:
    """Keeps idle connections longer than clients do, and closes those that clients closed.

    ministack closes a connection that was idle for 75 s, but Terraform's provider (Go's HTTP
    client) reuses one for 90 s. A request that arrives while the server closes the connection is
    executed, but its response is lost. The provider retries, and the retry fails because the
    resource already exists.
    """
    # ministack assigns 75 to each new configuration. The setter of this property ignores the value.
    timeout: Any = property(lambda _: KEEP_ALIVE, lambda *_: None)
    Config.keep_alive_timeout = timeout
    Config.keep_alive_max_requests = 2**63
    hypercorn.asyncio.run.TCPServer = ClosingServer  # type: ignore[attr-defined]


def raise_descriptor_limit() -> None:
    """Allows as many open files as the system permits, up to DESCRIPTORS.

    ministack asks for the hard limit, which macOS refuses if it is unlimited.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
