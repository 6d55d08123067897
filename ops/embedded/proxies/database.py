"""The proxy for PostgreSQL. It requires TLS, and an IAM token or the master user's password.

The message formats are those of version 3 of the protocol (PostgreSQL documentation, "Message
Formats").
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import urllib3

from .proxy import LoginRefusedError, ProtocolError, Proxy, forward

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
MAX_LENGTH = 64 * 1024
"""Maximum size in bytes of a message until the login is accepted. A token has about 1,500."""


async def serve(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Checks a client's login, then forwards messages in both directions."""
    encrypted = False
    code, message = await _read_first(reader)
    while code in {SSL_REQUEST, GSS_REQUEST}:
        if code == SSL_REQUEST and not encrypted:
            writer.write(b"S")
            await writer.start_tls(proxy.tls())
            encrypted = True
        else:
            writer.write(b"N")
        code, message = await _read_first(reader)
    if code == CANCEL_REQUEST:
        server = await proxy.connect()
        server[1].write(message)
        await server[1].drain()
        server[1].close()
        return
    user = _user(message[8:])
    error = (
        await _login(proxy, user, reader, writer)
        if encrypted
        else ("28000", f'no pg_hba.conf entry for user "{user}", no encryption')
    )
    if error is None:
        try:
            server = await proxy.connect()
        except OSError:
            error = ("57P03", "the database system is starting up")
    if error:
        writer.write(_error(*error))
        await writer.drain()
        return
    server[1].write(message)
    await forward((reader, writer), server)


async def _login(
    proxy: Proxy, user: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[str, str] | None:
    """Requests and checks a client's password.

    Returns:
        None if the login is allowed. Otherwise, the SQLSTATE and the message of the error.
    """
    writer.write(b"R" + struct.pack("!II", 8, 3))  # the message is AuthenticationCleartextPassword
    await writer.drain()
    kind = await reader.readexactly(1)
    password = (await _read_message(reader))[4:].rstrip(b"\0").decode(errors="replace")
    if kind != b"p":
        return "08P01", "expected password response"
    login: dict[str, Any] = {"user": user, "password": password, "endpoint": proxy.endpoint}
    try:
        await proxy.check_login(service="database", **login)
    except LoginRefusedError:
        # Aurora checks tokens with PAM, and sends this message.
        return "28000", f'PAM authentication failed for user "{user}"'
    except urllib3.exceptions.HTTPError:
        return "57P03", "the embedded AWS does not respond, so the login cannot be checked"
    return None


async def _read_first(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Reads a client's first message, which has a request code instead of a type.

    Returns the code and the whole message.
    """
    message = await _read_message(reader)
    if len(message) < 8:
        raise ProtocolError("the first message has no request code")
    return struct.unpack("!I", message[4:8])[0], message


def _user(parameters: bytes) -> str:
    """Returns the user in a startup message's parameters, where names and values alternate."""
    names_and_values = parameters.split(b"\0")
    users = dict(zip(names_and_values[::2], names_and_values[1::2], strict=False))
    try:
        return users[b"user"].decode()
    except (KeyError, UnicodeDecodeError):
        raise ProtocolError("the startup message names no user in UTF-8") from None


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    """Reads a message's length field and content, and returns both.

    If the message has a type, the caller must have read the type already.
    """
    header = await reader.readexactly(4)
    length = struct.unpack("!I", header)[0]
    if not 4 <= length <= MAX_LENGTH:
        raise ProtocolError(f"a message before the login has the invalid length {length}")
    return header + await reader.readexactly(length - 4)


def _error(sqlstate: str, text: str) -> bytes:
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": text}
    content = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", len(content) + 4) + content
