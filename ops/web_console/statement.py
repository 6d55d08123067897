"""Runs one SQL statement: python -m ops.web_console.statement USER DATABASE PORT < FILE

The console runs this module as a separate process, because pg8000 takes 3 MB of memory and a
large result takes more. The memory is released when the process ends.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pg8000.native

from ops.inspection.masking import mask_secrets

ROWS = 200
"""Maximum number of rows of a result."""
TIMEOUT = 5
"""Maximum seconds that PostgreSQL executes a statement."""


def execute(connection: pg8000.native.Connection, sql: str) -> dict[str, Any]:
    """Executes a statement in a read-only transaction and returns at most ROWS rows."""
    connection.run("START TRANSACTION READ ONLY")
    connection.run(f"SET LOCAL statement_timeout = '{TIMEOUT}s'")
    # After the first query of a transaction, PostgreSQL rejects statements that would make the
    # transaction writable.
    connection.run("SELECT 1")
    # The cursor reads only the first rows of a large result. `prepare` rejects a second statement
    # after a semicolon.
    query = sql.strip().rstrip(";")
    connection.prepare(f"DECLARE console NO SCROLL CURSOR FOR {query}").run()
    rows = connection.run(f"FETCH {ROWS + 1} FROM console") or []
    columns = [column["name"] for column in connection.columns or []]
    return {
        "columns": columns,
        "rows": [dict(zip(columns, row, strict=True)) for row in rows[:ROWS]],
        "isComplete": len(rows) <= ROWS,
    }


def main(user: str, database: str, port: str) -> None:
    """Connects to the server on loopback, executes the statement, and writes the result as JSON."""
    connection = pg8000.native.Connection(
        user, host="127.0.0.1", port=int(port), database=database, timeout=TIMEOUT + 5
    )
    try:
        result = execute(connection, sys.stdin.read())
    except pg8000.Error as error:
        details = error.args[0] if error.args else error
        sys.exit(str(details.get("M", details) if isinstance(details, dict) else details))
    sys.stdout.buffer.write(msgspec.json.encode(mask_secrets(result)))


if __name__ == "__main__":
    main(*sys.argv[1:])
