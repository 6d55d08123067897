"""Pings a cache without redis-py, because importing redis-py would slow down cold starts."""

import socket
import ssl
from contextlib import ExitStack
from typing import BinaryIO


def ping(
    host: str,
    port: int,
    *,
    timeout: float,
    tls: bool = False,
    ca_file: str | None = None,
    credentials: tuple[str, str] | None = None,
) -> None:
    """Opens a connection and sends PING in RESP, the protocol of Valkey and Redis.

    Args:
        timeout: Maximum seconds for connecting, and for each response.
        tls: Whether to encrypt, and to verify the certificate for this host.
        ca_file: The certificate authorities, or None for the system's.
        credentials: The user name and password, or None to skip authentication.

    Raises:
        OSError: Connecting failed, a response took too long, or the certificate is invalid.
        RuntimeError: The cache returned an unexpected response.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((host, port), timeout))
        if tls:
            context = ssl.create_default_context(cafile=ca_file)
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=host))
        responses = stack.enter_context(connection.makefile("rb"))
        if credentials:
            _command(connection, responses, b"+OK", "AUTH", *credentials)
        _command(connection, responses, b"+PONG", "PING")


def _command(
    connection: socket.socket, responses: BinaryIO, expected: bytes, *command: str
) -> None:
    """Sends a command as an array of length-prefixed strings, and reads a one-line response."""
    parts = [part.encode() for part in command]
    strings = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    connection.sendall(b"*%d\r\n%b" % (len(parts), b"".join(strings)))
    response = responses.readline(500).rstrip()
    if response != expected:
        raise RuntimeError(
            f"{command[0]} failed: {response.decode(errors='replace') or 'connection closed'}"
        )
