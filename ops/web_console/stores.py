"""Reads PostgreSQL and the cache of the platform on this machine.

On AWS both are in private subnets, which the console's machine cannot reach.
"""

from __future__ import annotations

import io
import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from environments.resource_names import DATABASE_MASTER
from ops.embedded.ports import LOOPBACK
from ops.embedded.services import DATABASE, Cache, Database
from ops.errors import OperatorError
from ops.web_console.source import Source

if TYPE_CHECKING:
    import pg8000.native

ROWS = 200
"""Maximum number of rows of a query."""
STATEMENT_TIMEOUT = 5
"""Maximum seconds that a SQL statement of the console takes."""
KEYS = 500
"""Maximum number of keys of the cache that one request lists."""
CONNECTION, ROOM = "chat:connection:", "chat:room:"
"""Prefixes of the chat function's keys: a connection's rooms, and a room's connections."""
Command = Callable[..., Any]
LIFETIME = 11 * 60
"""Seconds for which the chat function stores an idle connection."""


def list_relations(source: Source) -> list[dict[str, Any]]:
    """Returns the tables of the database with their columns and approximate number of rows."""
    columns, rows, _ = _run(
        source,
        "SELECT n.nspname AS schema, c.relname AS name, c.reltuples::bigint AS rows,"
        " array_agg(a.attname ORDER BY a.attnum) AS columns"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog',"
        " 'information_schema') GROUP BY 1, 2, 3 ORDER BY 1, 2",
    )
    return [dict(zip(columns, row, strict=True)) for row in rows]


def query(source: Source, sql: str) -> dict[str, Any]:
    """Runs one SQL statement in a read-only transaction and returns at most ROWS rows.

    Raises:
        OperatorError: PostgreSQL rejected the statement, for example because it writes.
    """
    columns, rows, is_complete = _run(source, sql)
    return {
        "columns": columns,
        "rows": [dict(zip(columns, row, strict=True)) for row in rows],
        "isComplete": is_complete,
    }


def _run(source: Source, sql: str) -> tuple[list[str], list[list[Any]], bool]:
    import pg8000.native  # noqa: PLC0415 - only this view needs it

    single = sql.strip().rstrip(";")
    with _connection(source) as connection:
        try:
            connection.run("START TRANSACTION READ ONLY")
            connection.run(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}s'")
            # After a first query, no statement can make the transaction writable.
            connection.run("SELECT 1")
            # A cursor reads only the first rows of a large result. A prepared statement accepts no
            # second statement after a semicolon.
            statement = connection.prepare(f"DECLARE console NO SCROLL CURSOR FOR {single}")
            statement.run()
            rows = connection.run(f"FETCH {ROWS + 1} FROM console")
        except pg8000.Error as error:
            details = error.args[0] if error.args else str(error)
            text = details.get("M", str(details)) if isinstance(details, dict) else str(details)
            raise OperatorError(f"PostgreSQL rejected the statement: {text}") from error
        columns = [column["name"] for column in connection.columns or []]
        return columns, list(rows or [])[:ROWS], len(rows or []) <= ROWS


@contextmanager
def _connection(source: Source) -> Iterator[pg8000.native.Connection]:
    """Connects as the owner of the database, which is not a superuser."""
    import pg8000.native  # noqa: PLC0415 - only this view needs it

    connection = pg8000.native.Connection(
        DATABASE_MASTER,
        host=LOOPBACK,
        port=_port(source, Database.name, "Aurora"),
        database=DATABASE,
        timeout=STATEMENT_TIMEOUT + 5,
    )
    try:
        yield connection
    finally:
        connection.close()


def _port(source: Source, service: str, product: str) -> int:
    if source.embedded is None:
        raise OperatorError(
            f"{product} of {source.environment} is in private subnets, which this machine cannot"
            " reach"
        )
    process = source.embedded.running().get(service)
    if process is None:
        raise OperatorError(f"The {service} is not running: start it with `make up`")
    return process.port


def list_keys(source: Source, pattern: str = "*") -> dict[str, Any]:
    """Returns the keys of the cache that match a pattern, with type and remaining lifetime."""
    with _cache(source) as run:
        keys = sorted(itertools.islice(_scan(run, pattern or "*"), KEYS + 1))
        listed = [(key, run("TYPE", key), run("TTL", key)) for key in keys[:KEYS]]
    return {
        "keys": [
            {"key": key, "type": kind, "seconds": None if ttl < 0 else ttl}
            for key, kind, ttl in listed
        ],
        "isComplete": len(keys) <= KEYS,
    }


def list_connections(source: Source) -> list[dict[str, Any]]:
    """Returns the open WebSocket connections with their rooms, as the chat function stores them."""
    with _cache(source) as run:
        result = []
        for key in itertools.islice(_scan(run, f"{CONNECTION}*"), ROWS):
            rooms = sorted(room for room in run("SMEMBERS", key) if room)
            connection = key.removeprefix(CONNECTION)
            members = run("ZRANGE", f"{ROOM}{rooms[0]}", "0", "-1") if rooms else []
            parts = (member.split("|") for member in members)
            user = next((part[1] for part in parts if part[0] == connection), None)
            result.append(
                {
                    "connection": connection,
                    "user": user,
                    "rooms": rooms,
                    "idleSeconds": LIFETIME - run("TTL", key),
                }
            )
    return sorted(result, key=lambda item: str(item["connection"]))


def _scan(run: Command, pattern: str) -> Iterator[str]:
    """Yields each key that matches a pattern once."""
    cursor, seen = "0", set[str]()
    while True:
        cursor, keys = run("SCAN", cursor, "MATCH", pattern, "COUNT", str(KEYS))
        yield from (key for key in dict.fromkeys(keys) if key not in seen)
        seen.update(keys)
        if cursor == "0":
            return


@contextmanager
def _cache(source: Source) -> Iterator[Command]:
    """Yields a function that runs a command of the cache.

    The package redis would take 6 MB of memory for these few commands.
    """
    port = _port(source, Cache.name, "ElastiCache")
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
        raise OperatorError(f"The cache does not respond: {error}") from error


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
    raise ValueError(text or "it closed the connection")
