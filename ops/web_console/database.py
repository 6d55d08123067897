"""Reads the database of the platform on this machine.

On AWS, the database is in private subnets, which the console cannot reach.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec

from environments.resource_names import DATABASE_MASTER
from ops.embedded.services import DATABASE, Database
from ops.errors import OperatorError
from ops.root import PROJECT
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
    command = [sys.executable, "-m", "ops.web_console.statement", DATABASE_MASTER, DATABASE]
    completed = subprocess.run(
        [*command, str(port)], input=sql.encode(), capture_output=True, check=False, cwd=PROJECT
    )
    if completed.returncode:
        reason = completed.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OperatorError(f"PostgreSQL rejected the statement: {reason}")
    result: dict[str, Any] = msgspec.json.decode(completed.stdout)
    return result
