"""Copies of databases of the embedded PostgreSQL, made as from a backup: dumped, and restored under another name."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pg8000.native

from ops.embedded.services import DATABASE_MASTER, POSTGRES_PROGRAMS
from ops.errors import OperatorError

SUPERUSER = "postgres"


def restore_copy(address: str, source: str, copy: str, scratch: Path) -> None:
    """Makes the database `copy` from a dump of `source`, in place of what may be left of an earlier one.

    Args:
        address: the server, host:port.
        scratch: where the dump lies meanwhile.

    Raises:
        OperatorError: a step failed; the message has PostgreSQL's reason.
    """
    remove_copy(address, copy)
    _sql(address, f"CREATE DATABASE {pg8000.native.identifier(copy)} OWNER {DATABASE_MASTER}")
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        dump = Path(directory) / "dump"
        _run(address, "pg_dump", "--format=custom", f"--file={dump}", source)
        _run(address, "pg_restore", "--exit-on-error", f"--dbname={copy}", str(dump))


def remove_copy(address: str, copy: str) -> None:
    """Removes a copy; that there is none is no error."""
    _sql(address, f"DROP DATABASE IF EXISTS {pg8000.native.identifier(copy)} WITH (FORCE)")


def _sql(address: str, sql: str) -> None:
    host, _, port = address.partition(":")
    with closing(
        pg8000.native.Connection(SUPERUSER, host=host, port=int(port), database="postgres")
    ) as connection:
        connection.run(sql)


def _run(address: str, program: str, *arguments: str) -> None:
    host, _, port = address.partition(":")
    command = [
        str(POSTGRES_PROGRAMS / program),
        f"--host={host}",
        f"--port={port}",
        f"--username={SUPERUSER}",
    ]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise OperatorError(f"{program} failed: {result.stderr.strip()}")
