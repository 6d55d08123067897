"""Reads the database of the platform on this machine.

On AWS, the database is in private subnets, which the console cannot reach.
"""

from __future__ import annotations

from typing import Any

from environments.resource_names import DATABASE_MASTER
from ops.embedded.services import DATABASE, Database
from ops.errors import OperatorError
from ops.web_console.separate_process import ModuleError, run_module
from ops.web_console.source import Source

RELATIONS = """
SELECT n.nspname AS schema, c.relname AS name, c.reltuples::bigint AS rows,
  array_agg(a.attname ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
GROUP BY 1, 2, 3 ORDER BY 1, 2
"""


def list_relations(source: Source) -> Any:
    """Returns the tables of the database with their columns and approximate number of rows."""
    return query(source, RELATIONS)["rows"]


def query(source: Source, sql: str) -> dict[str, Any]:
    """Runs one SQL statement in a read-only transaction, and returns its columns and rows.

    The statement runs as the owner of the database, who is not a superuser.

    Raises:
        OperatorError: PostgreSQL rejected the statement, for example because it writes.
    """
    port = source.port(Database.name, "Aurora")
    arguments = (DATABASE_MASTER, DATABASE, str(port))
    try:
        result: dict[str, Any] = run_module("statement", *arguments, stdin=sql.encode())
    except ModuleError as error:
        raise OperatorError(f"PostgreSQL rejected the statement: {error}") from error
    return result
