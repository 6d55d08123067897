"""The common part of both proxies: TLS, the login check by the embedded AWS, and forwarding."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

LOOPBACK = "127.0.0.1"
DECISION_TIMEOUT = 5.0
"""Seconds to wait until the embedded AWS has checked a login."""
CHUNK = 64 * 1024
"""Maximum number of bytes per read."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class LoginRefusedError(Exception):
    """Raised if the embedded AWS refuses a login. The message states why."""


class ProtocolError(Exception):
    """Raised if a client sends bytes that are not a login. The message states what is wrong."""


@dataclass(frozen=True)
class Proxy:
    """A proxy that requires TLS and checks logins before it forwards to a service.

    Args:
        port: The port on which the proxy listens.
        server: The name of the service to which the proxy forwards.
        ports: The file with the ports of all services. A restart of a service can change its port.
        certificate: A PEM file with the certificate and its key.
        login_path: The URL path at which the embedded AWS checks logins.
    """

    port: int
    server: str
    ports: Path
    certificate: Path
    login_path: str

    @property
    def endpoint(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate)
        return context

    async def check_login(self, **login: str) -> Any:
        """Sends a login to the embedded AWS, which checks it.

        Returns:
            The JSON value in the embedded AWS's response: the user's access string for a cache
            login, None for a database login.

        Raises:
            LoginRefusedError: The login is not allowed.
            urllib3.exceptions.HTTPError: The embedded AWS does not respond.
        """
        url = f"http://{LOOPBACK}:{self._port('aws-plain')}{self.login_path}"
        response = await asyncio.to_thread(
            urllib3.request,
            "PUT",
            url,
            body=json.dumps(login),
            timeout=DECISION_TIMEOUT,
            retries=False,
        )
        content = json.loads(response.data)
        if response.status != 200:
            _log(f"{login['user']}: {content}")
            raise LoginRefusedError(content)
        return content

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects to the service behind the proxy. Raises OSError if that fails."""
        return await asyncio.open_connection(LOOPBACK, self._port(self.server))

    def _port(self, service: str) -> int:
        return int(json.loads(self.ports.read_text())[service])

    async def run(self, serve: Serve, *, tls: ssl.SSLContext | None) -> None:
        """Serves connections until the process is stopped.

        Args:
            tls: The context for TLS from the first byte on. None if `serve` starts TLS itself.
        """

        async def serve_and_close(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            with suppress(asyncio.IncompleteReadError, OSError, ssl.SSLError):
                try:
                    await serve(reader, writer)
                except ProtocolError as error:
                    _log(f"closed a connection: {error}")
                finally:
                    writer.close()

        server = await asyncio.start_server(serve_and_close, LOOPBACK, self.port, ssl=tls)
        await server.serve_forever()


def _log(line: str) -> None:
    with suppress(OSError):  # print fails if the disk is full
        print(line, flush=True)


async def forward(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Forwards bytes in both directions until one side closes its connection, then closes both."""
    copies = [
        asyncio.create_task(_copy(client[0], server[1])),
        asyncio.create_task(_copy(server[0], client[1])),
    ]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)
        server[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
