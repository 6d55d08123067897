"""Reads the cache of the platform on this machine.

On AWS, the cache is in private subnets, which the console cannot reach.
"""

from __future__ import annotations

import io
import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ops.embedded.ports import LOOPBACK
from ops.embedded.services import Cache
from ops.errors import OperatorError
from ops.web_console.source import Source

LISTED_CONNECTIONS = 200
"""Maximum number of connections that the console lists."""
LISTED_KEYS = 500
"""Maximum number of keys of the cache that one request lists."""
CONNECTION, ROOM = "chat:connection:", "chat:room:"
"""Prefixes of the chat function's keys. The value of a CONNECTION key contains the rooms of a
connection, and the value of a ROOM key the connections in a room.
"""
Command = Callable[..., Any]
LIFETIME = 11 * 60
"""Seconds from the last activity of a connection until its CONNECTION key expires."""


def list_keys(source: Source, pattern: str = "*") -> dict[str, Any]:
    """Returns the keys of the cache that match a pattern, with type and remaining lifetime."""
    with _cache(source) as run:
        keys = sorted(itertools.islice(_scan(run, pattern or "*"), LISTED_KEYS + 1))
        listed = [(key, run("TYPE", key), run("TTL", key)) for key in keys[:LISTED_KEYS]]
    return {
        "keys": [
            {"key": key, "type": kind, "seconds": None if ttl < 0 else ttl}
            for key, kind, ttl in listed
        ],
        "isComplete": len(keys) <= LISTED_KEYS,
    }


def list_connections(source: Source) -> list[dict[str, Any]]:
    """Returns the open WebSocket connections with their rooms, as the chat function stores them."""
    with _cache(source) as run:
        return read_connections(run)


def read_connections(run: Command) -> list[dict[str, Any]]:
    """Returns the WebSocket connections in a cache. Omits a connection whose key has just expired.

    Args:
        run: Sends a command to the cache and returns its response.
    """
    result = []
    for key in itertools.islice(_scan(run, f"{CONNECTION}*"), LISTED_CONNECTIONS):
        seconds_left = run("TTL", key)
        if seconds_left < 0:  # expired after the scan
            continue
        rooms = sorted(room for room in run("SMEMBERS", key) if room)
        connection = key.removeprefix(CONNECTION)
        members = run("ZRANGE", f"{ROOM}{rooms[0]}", "0", "-1") if rooms else []
        parts = (member.split("|") for member in members)
        result.append(
            {
                "connection": connection,
                "user": next((part[1] for part in parts if part[0] == connection), None),
                "rooms": rooms,
                "idleSeconds": LIFETIME - seconds_left,
            }
        )
    return sorted(result, key=lambda item: str(item["connection"]))


def _scan(run: Command, pattern: str) -> Iterator[str]:
    """Yields the keys that match a pattern. Removes duplicates, which SCAN can return."""
    cursor, seen = "0", set[str]()
    while True:
        cursor, keys = run("SCAN", cursor, "MATCH", pattern, "COUNT", str(LISTED_KEYS))
        yield from (key for key in dict.fromkeys(keys) if key not in seen)
        seen.update(keys)
        if cursor == "0":
            return


@contextmanager
def _cache(source: Source) -> Iterator[Command]:
    """Connects to the cache, and yields a function that runs a command.

    Does not use the package redis, which would take 6 MB of memory.
    """
    port = source.port(Cache.name, "ElastiCache")
    try:
        with (
            socket.create_connection((LOOPBACK, port), timeout=5) as connection,
            connection.makefile("rwb") as stream,
        ):

            def run(*parts: str) -> Any:
                words = [part.encode() for part in parts]
                stream.write(b"*%d\r\n" % len(words))
                stream.writelines(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
                stream.flush()
                return read_reply(stream)

            yield run
    except (OSError, ValueError) as error:
        raise OperatorError(f"The request to the cache failed: {error}") from error


def read_reply(stream: io.BufferedIOBase) -> Any:
    """Returns the next reply of the Redis protocol, version 2.

    Raises:
        ValueError: The cache rejected the command, or closed the connection.
    """
    line = stream.readline()
    kind, text = line[:1], line[1:-2].decode()
    if kind == b"+":
        return text
    if kind == b":":
        return int(text)
    if kind == b"$":
        return None if text == "-1" else stream.read(int(text) + 2)[:-2].decode(errors="replace")
    if kind == b"*":
        return [read_reply(stream) for _ in range(int(text))]
    raise ValueError(text or "the cache closed the connection")
