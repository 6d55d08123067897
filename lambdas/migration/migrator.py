"""Applies pending migrations, each in its own transaction."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from lambdas.common.storage.database import sqlstate
from lambdas.migration.files import Migration, MigrationError, Statement

if TYPE_CHECKING:
    import pg8000.native

OWNER = "migration"
"""The database role that runs all migrations except the first, which creates this role."""

ADVISORY_LOCK_KEY = 7_001_502_418
"""The key of the advisory lock that a run holds. No other lock uses this number."""

LOCK_TIMEOUT = 5
"""Maximum seconds that a statement waits for a table lock.

While it waits, later queries of the table wait too.
"""

TIMEOUT_MARGIN = 5.0
"""Seconds before the function's timeout that are reserved for rolling back and returning."""

_LOCK_NOT_AVAILABLE = "55P03"

_BOOKKEEPING = (
    "CREATE SCHEMA IF NOT EXISTS migration",
    """CREATE TABLE IF NOT EXISTS migration.applied (
        migration_id text PRIMARY KEY,
        checksum text NOT NULL,
        applied_by text NOT NULL,
        duration_ms integer NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )""",
)
_APPLIED = """
SELECT migration_id, checksum, applied_by, duration_ms, applied_at
FROM migration.applied ORDER BY migration_id
"""


class Applied(Struct, frozen=True):
    """A migration that was applied to the schema."""

    migration_id: str
    checksum: str
    applied_by: str
    duration_ms: int
    applied_at: datetime


class Result(Struct, frozen=True, rename="camel"):
    """The ids of the migrations that this run applied, and of the pending migrations.

    `unknown` are the ids of applied migrations without a file in this version.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class Record(Protocol):
    """Keeps a record of migrations outside the database."""

    def applied(self, migration: Applied) -> None: ...

    def failed(self, migration: Migration, caller: str, reason: str) -> None: ...


class Migrator:
    """Migrates one database.

    The table `migration.applied` is authoritative: each migration's transaction adds a row. Each
    run also writes all applied migrations to the record in DynamoDB again. This adds migrations
    that are missing there after a crash.
    """

    def __init__(
        self,
        connection: "pg8000.native.Connection",
        migrations: Sequence[Migration],
        record: Record,
        *,
        caller: str,
        remaining: Callable[[], float],
    ) -> None:
        """`caller` is the caller's name. `remaining` returns the seconds until the timeout."""
        self._connection = connection
        self._migrations = migrations
        self._record = record
        self._caller = caller
        self._remaining = remaining

    def plan(self) -> Result:
        """Returns what `migrate` would do, without waiting for locks or changing anything.

        Raises:
            MigrationError: The files do not match the applied migrations.
        """
        [[exists]] = self._connection.run("SELECT to_regclass('migration.applied') IS NOT NULL")
        return self._compare(self._applied() if exists else [], ())

    def migrate(self, limit: int | None = None) -> Result:
        """Applies pending migrations, at most `limit`. Waits while another run is in progress.

        Raises:
            MigrationError: A migration failed and was rolled back, the files do not match the
                applied migrations, or another run held the lock too long.
        """
        self._wait_for_others()
        for statement in _BOOKKEEPING:
            self._connection.run(statement)
        before = self._applied()
        for row in before:
            self._record.applied(row)
        pending = set(self._compare(before, ()).pending)
        due = [migration for migration in self._migrations if migration.id in pending][:limit]
        done = []
        for migration in due:
            self._record.applied(self._apply(migration))
            done.append(migration.id)
        return self._compare(self._applied(), tuple(done))

    def _wait_for_others(self) -> None:
        seconds = max(self._remaining() - 2 * TIMEOUT_MARGIN, 1.0)
        self._connection.run(f"SET lock_timeout = {round(seconds * 1000)}")
        try:
            # A session lock is released when the connection ends, even after a crash.
            self._connection.run(f"SELECT pg_advisory_lock({ADVISORY_LOCK_KEY})")
        except Exception as error:
            if sqlstate(error) == _LOCK_NOT_AVAILABLE:
                reason = f"another migration has held the lock for {seconds:.0f} s: try again later"
                raise MigrationError(reason) from error
            raise

    def _applied(self) -> list[Applied]:
        return [Applied(*row) for row in self._connection.run(_APPLIED)]

    def _compare(self, applied: Sequence[Applied], done: tuple[str, ...]) -> Result:
        known = {migration.id: migration for migration in self._migrations}
        ours = [row for row in applied if row.migration_id in known]
        for row in ours:
            if row.checksum != known[row.migration_id].checksum:
                raise MigrationError(
                    f"{row.migration_id}.sql was applied at {row.applied_at:%Y-%m-%d %H:%M} by "
                    f"{row.applied_by} and has been changed since: restore its old content and "
                    "write the change as a new migration"
                )
        newest = max(known, default="")
        missing = [
            row.migration_id
            for row in applied
            if row.migration_id not in known and row.migration_id < newest
        ]
        if missing:
            raise MigrationError(
                f"{missing[0]}.sql was applied, but this version lacks the file: restore it"
            )
        latest = max((row.migration_id for row in applied), default="")
        names = {row.migration_id for row in ours}
        pending = tuple(migration.id for migration in self._migrations if migration.id not in names)
        misnumbered = [migration_id for migration_id in pending if migration_id < latest]
        if misnumbered:
            raise MigrationError(
                f"{misnumbered[0]}.sql: {latest} is already applied: give this file a higher number"
            )
        # Unknown migrations are not an error: after a rollback, an older version of the functions
        # runs with the newer schema.
        unknown = tuple(row.migration_id for row in applied if row.migration_id not in known)
        return Result(done, pending, unknown)

    def _apply(self, migration: Migration) -> Applied:
        started = time.perf_counter()
        self._connection.run("BEGIN")
        try:
            for name, seconds in (
                ("statement", self._remaining() - TIMEOUT_MARGIN),
                ("lock", LOCK_TIMEOUT),
            ):
                self._connection.run(
                    f"SET LOCAL {name}_timeout = {round(max(seconds, 0.001) * 1000)}"
                )
            if migration is not self._migrations[0]:
                self._connection.run(f"SET LOCAL ROLE {OWNER}")
            for statement in migration.statements:
                self._execute(migration, statement)
            self._connection.run("RESET ROLE")
            [row] = self._connection.run(
                "INSERT INTO migration.applied (migration_id, checksum, applied_by, duration_ms) "
                "VALUES (:id, :checksum, :by, :duration) "
                "RETURNING migration_id, checksum, applied_by, duration_ms, applied_at",
                id=migration.id,
                checksum=migration.checksum,
                by=self._caller,
                duration=round((time.perf_counter() - started) * 1000),
            )
            self._connection.run("COMMIT")
        except BaseException as error:
            with suppress(Exception):  # if the connection is lost, PostgreSQL rolls back
                self._connection.run("ROLLBACK")
            if isinstance(error, MigrationError):
                self._record.failed(migration, self._caller, str(error))
            raise
        self._connection.run("RESET ALL")  # resets session settings that the migration changed
        return Applied(*row)

    def _execute(self, migration: Migration, statement: Statement) -> None:
        try:
            self._connection.run(statement.sql)
        except Exception as error:
            fields: dict[str, Any] = (
                error.args[0] if error.args and isinstance(error.args[0], dict) else {}
            )
            # PostgreSQL's field P is the position of the error in characters, counted from 1.
            # Runtime errors have no position.
            position = int(fields.get("P", 1))
            line = statement.line + statement.sql.count("\n", 0, position - 1)
            reason = fields.get("M", type(error).__name__)
            raise MigrationError(f"{migration.file}, line {line}: {reason}") from error
