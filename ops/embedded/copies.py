"""Copies databases of the embedded PostgreSQL with pg_dump and pg_restore."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pg8000.native

from environments.resource_names import DATABASE_MASTER
from ops.embedded.programs import postgres_programs
from ops.embedded.services import SUPERUSER
from ops.errors import OperatorError


def restore_copy(address: str, source: str, copy: str, scratch: Path) -> None:
    """Dumps the database `source` and restores the dump as `copy`. Replaces an existing `copy`.

    Args:
        address: host:port of the server.
        scratch: the directory for the temporary dump.

    Raises:
        OperatorError: pg_dump or pg_restore failed.
    """
    remove_copy(address, copy)
    _run_sql(address, f"CREATE DATABASE {pg8000.native.identifier(copy)} OWNER {DATABASE_MASTER}")
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        dump = Path(directory) / "dump"
        _run_program(address, "pg_dump", "--format=custom", f"--file={dump}", source)
        _run_program(address, "pg_restore", "--exit-on-error", f"--dbname={copy}", str(dump))


def remove_copy(address: str, copy: str) -> None:
    """Deletes a database if it exists, and closes its connections."""
    _run_sql(address, f"DROP DATABASE IF EXISTS {pg8000.native.identifier(copy)} WITH (FORCE)")


def _run_sql(address: str, sql: str) -> None:
    host, _, port = address.partition(":")
    with closing(
        pg8000.native.Connection(SUPERUSER, host=host, port=int(port), database="postgres")
    ) as connection:
        connection.run(sql)


def _run_program(address: str, program: str, *arguments: str) -> None:
    host, _, port = address.partition(":")
    server = [f"--host={host}", f"--port={port}", f"--username={SUPERUSER}"]
    command = [str(postgres_programs() / program), *server, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise OperatorError(f"{program} failed: {result.stderr.strip()}")
