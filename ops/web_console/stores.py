"""Reads PostgreSQL and the cache of the platform on this machine.

On AWS both are in private subnets, which the console's machine cannot reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from environments.resource_names import DATABASE_MASTER
from ops.embedded.ports import LOOPBACK
from ops.embedded.services import DATABASE, Cache, Database
from ops.errors import OperatorError
from ops.web_console.source import Source

if TYPE_CHECKING:
    import pg8000.native
    import redis

ROWS = 200
"""Maximum number of rows of a query."""
STATEMENT_TIMEOUT = 5
"""Maximum seconds that a SQL statement of the console takes."""
KEYS = 500
"""Maximum number of keys of the cache that one request lists."""
CONNECTION, ROOM = "chat:connection:", "chat:room:"
"""Prefixes of the chat function's keys: a connection's rooms, and a room's connections."""
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
    with _cache(source) as cache:
        keys: list[str] = []
        for key in cache.scan_iter(match=pattern or "*", count=KEYS):
            keys.append(key)
            if len(keys) > KEYS:
                break
        keys.sort()
        with cache.pipeline(transaction=False) as pipe:
            for key in keys[:KEYS]:
                pipe.type(key)
                pipe.ttl(key)
            values = pipe.execute()
    return {
        "keys": [
            {"key": key, "type": kind, "seconds": None if ttl < 0 else ttl}
            for key, kind, ttl in zip(keys, values[::2], values[1::2], strict=False)
        ],
        "isComplete": len(keys) <= KEYS,
    }


def list_connections(source: Source) -> list[dict[str, Any]]:
    """Returns the open WebSocket connections with their rooms, as the chat function stores them."""
    with _cache(source) as cache:
        result = []
        for key in cache.scan_iter(match=f"{CONNECTION}*", count=KEYS):
            rooms = sorted(str(room) for room in cache.smembers(key) if room)
            connection = key.removeprefix(CONNECTION)
            members = map(str, cache.zrange(f"{ROOM}{rooms[0]}", 0, -1) if rooms else [])
            parts = (member.split("|") for member in members)
            user = next((part[1] for part in parts if part[0] == connection), None)
            result.append(
                {
                    "connection": connection,
                    "user": user,
                    "rooms": rooms,
                    "idleSeconds": LIFETIME - cache.ttl(key),
                }
            )
            if len(result) == ROWS:
                break
    return sorted(result, key=lambda item: str(item["connection"]))


@contextmanager
def _cache(source: Source) -> Iterator[redis.Redis]:
    import redis  # noqa: PLC0415 - only this view needs it

    port = _port(source, Cache.name, "ElastiCache")
    with redis.Redis(LOOPBACK, port, decode_responses=True, socket_timeout=5) as client:
        try:
            yield client
        except redis.RedisError as error:
            raise OperatorError(f"The cache does not respond: {error}") from error
