"""The proxy for Valkey. It requires TLS and IAM authentication.

The message formats are those of the Valkey documentation, "RESP protocol".
"""

from __future__ import annotations

import asyncio

import urllib3

from .proxy import LoginRefusedError, ProtocolError, Proxy, forward

MAX_SESSION = 12 * 60 * 60.0
"""Seconds. ElastiCache closes a connection with an IAM token after 12 hours."""
MAX_LENGTH = 64 * 1024
"""Maximum size in bytes of one argument of the login command. A token has about 1,500."""
MAX_PARTS = 16
"""Maximum number of words of the login command. `HELLO 3 AUTH user token SETNAME name` has 7."""


async def serve(
    proxy: Proxy,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    max_session: float = MAX_SESSION,
) -> None:
    """Checks a client's login, then forwards its commands for at most `max_session` seconds."""
    command = await _read_command(reader)
    position = _position_of_user(command)
    if position is None:
        await _refuse(writer, b"-NOAUTH Authentication required.\r\n")
        return
    user, password = (part.decode(errors="replace") for part in command[position : position + 2])
    try:
        access = await proxy.check_login(service="cache", user=user, password=password)
        server = await proxy.connect()
    except LoginRefusedError:
        await _refuse(writer, b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
        return
    except (urllib3.exceptions.HTTPError, OSError):
        await _refuse(writer, b"-LOADING the cache is starting\r\n")
        return
    # Creates the user in Valkey, without a password. `access` is the access string (permissions)
    # of the embedded AWS's ElastiCache user.
    rules = [b"reset", b"nopass", *access.encode().split()]
    server[1].write(_encode([b"ACL", b"SETUSER", user.encode(), *rules]))
    reply = await server[0].readline()
    if not reply.startswith(b"+"):
        await _refuse(writer, reply)
        return
    server[1].write(_encode([*command[: position + 1], b"-", *command[position + 2 :]]))
    try:
        async with asyncio.timeout(max_session):
            await forward((reader, writer), server)
    except TimeoutError:
        return


def _position_of_user(command: list[bytes]) -> int | None:
    """Returns the index of the user name in a login command. None for other commands."""
    name = command[0].upper() if command else b""
    if name == b"AUTH" and len(command) == 3:
        return 1
    if name == b"HELLO" and len(command) >= 5 and command[2].upper() == b"AUTH":
        return 3
    return None


async def _read_command(reader: asyncio.StreamReader) -> list[bytes]:
    count = _number(await reader.readline(), b"*")
    if count > MAX_PARTS:
        raise ProtocolError(f"a login has {count} words: the limit is {MAX_PARTS}")
    command = []
    for _ in range(count):
        length = _number(await reader.readline(), b"$")
        if length > MAX_LENGTH:
            raise ProtocolError(
                f"a login has an argument of {length} bytes: the limit is {MAX_LENGTH}"
            )
        command.append((await reader.readexactly(length + 2))[:-2])
    return command


def _number(line: bytes, prefix: bytes) -> int:
    if not line.startswith(prefix) or not line[1:].strip().isdigit():
        raise ProtocolError("the client does not send RESP commands")
    return int(line[1:])


def _encode(command: list[bytes]) -> bytes:
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in command)
    return b"*%d\r\n" % len(command) + parts


async def _refuse(writer: asyncio.StreamWriter, reply: bytes) -> None:
    writer.write(reply)
    await writer.drain()
