"""Asks a cache for a PONG without a driver: importing one takes a cold start longer than all else that the function imports."""

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
    credentials: tuple[str, str] | None = None,
) -> None:
    """Opens a connection and sends a PING in RESP, the protocol of Valkey and Redis.

    Args:
        timeout: seconds for the connection, and for each answer.
        tls: with a certificate of a known authority for this host.
        credentials: a user's name and password; None does not authenticate.

    Raises:
        OSError: no connection, no answer in time, or a certificate that does not fit.
        RuntimeError: another answer than a working cache gives.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((host, port), timeout))
        if tls:
            context = ssl.create_default_context()
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=host))
        answers = stack.enter_context(connection.makefile("rb"))
        if credentials:
            _ask(connection, answers, b"+OK", "AUTH", *credentials)
        _ask(connection, answers, b"+PONG", "PING")


def _ask(connection: socket.socket, answers: BinaryIO, wanted: bytes, *command: str) -> None:
    """Sends a command, which is an array of strings, each with its length before it; what it is answered is one line."""
    parts = [part.encode() for part in command]
    strings = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    connection.sendall(b"*%d\r\n%b" % (len(parts), b"".join(strings)))
    answer = answers.readline(500).rstrip()
    if answer != wanted:
        raise RuntimeError(
            f"{command[0]} was answered {answer.decode(errors='replace') or 'by hanging up'}"
        )
