"""Tests migrations on a real PostgreSQL, with a master user who is not a superuser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pg8000.native
import pytest

from environments.resource_names import DATABASE_MASTER
from lambdas.migration.files import MigrationError, read_migrations
from lambdas.migration.migrator import ADVISORY_LOCK_KEY, TIMEOUT_MARGIN, Migrator, Result
from tests.postgres import Postgres, RecordedOutcomes

T = TypeVar("T")

A = "CREATE SCHEMA shop AUTHORIZATION migration; SET ROLE migration;\nCREATE TABLE shop.a (id int);"
B = "CREATE TABLE shop.b (id int);"


def eventually(find: Callable[[], T], seconds: float = 20.0) -> T:
    """Calls `find` until it returns a true value, and returns it."""
    deadline = time.monotonic() + seconds
    while not (result := find()):
        assert time.monotonic() < deadline, f"`find` returned nothing within {seconds} s"
        time.sleep(0.01)
    return result


class Files:
    """A directory of migrations and a database."""

    def __init__(self, postgres: Postgres, database: str, directory: Path) -> None:
        self.postgres, self.database, self.directory = postgres, database, directory
        self.record = RecordedOutcomes()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / f"{name.lstrip('_')}.sql").write_text(text)

    def remove(self, name: str) -> None:
        (self.directory / f"{name}.sql").unlink()

    @contextmanager
    def migrator(self, caller: str = "ada", seconds: float = 300.0) -> Iterator[Migrator]:
        with closing(self.postgres.connect(DATABASE_MASTER, self.database)) as connection:
            migrations = read_migrations(self.directory)
            yield Migrator(
                connection, migrations, self.record, caller=caller, remaining=lambda: seconds
            )

    def migrate(self, limit: int | None = None, **options: Any) -> Result:
        with self.migrator(**options) as migrator:
            return migrator.migrate(limit)

    def plan(self) -> Result:
        with self.migrator() as migrator:
            return migrator.plan()

    def run(self, sql: str, **values: Any) -> list[list[Any]]:
        return self.postgres.run(sql, self.database, **values)

    def tables(self) -> list[str]:
        return [
            row[0]
            for row in self.run(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'shop' ORDER BY 1"
            )
        ]


@pytest.fixture
def files(postgres: Postgres, migrated: str, tmp_path: Path) -> Iterator[Files]:
    """Yields an empty directory of migrations and an empty database.

    The server also has a migrated platform database, because the migrations need the platform's
    roles. All databases of a server share its roles.
    """
    with postgres.database() as name:
        yield Files(postgres, name, tmp_path)


def test_pending_migrations_are_applied_once_in_order(files: Files) -> None:
    files.write(_0001_a=A, _0002_b=B)
    assert files.plan() == Result((), ("0001_a", "0002_b"))
    assert files.tables() == []
    assert files.migrate() == Result(("0001_a", "0002_b"), ())
    assert files.tables() == ["a", "b"]
    assert files.migrate() == files.plan() == Result((), ())


def test_caller_and_duration_are_stored_and_recorded(files: Files) -> None:
    files.write(_0001_a=A + "SELECT pg_sleep(0.05);")
    files.migrate()
    [recorded] = files.record.migrations
    assert (recorded.migration_id, recorded.applied_by) == ("0001_a", "ada")
    assert recorded.checksum == read_migrations(files.directory)[0].checksum
    assert 50 <= recorded.duration_ms < 5000
    [[checksum, by, duration]] = files.run(
        "SELECT checksum, applied_by, duration_ms FROM migration.applied"
    )
    assert (checksum, by, duration) == (
        recorded.checksum,
        recorded.applied_by,
        recorded.duration_ms,
    )


def test_a_limit_leaves_later_migrations_pending(files: Files) -> None:
    files.write(_0001_a=A, _0002_b=B)
    assert files.migrate(1) == Result(("0001_a",), ("0002_b",))
    assert files.migrate(1) == Result(("0002_b",), ())


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (
            f"{B}\n\nCREATE TABLE shop.c (\n  id int,\n  other nonsense\n);",
            5,
            'type "nonsense" does not exist',
        ),
        (f"{B}\n-- again\nCREATE TABLE shop.a (id int);", 3, 'relation "a" already exists'),
        (f"{B}\nINSERT INTO shop.b\nSELECT 1/0;", 2, "division by zero"),
        (f"{B}\nSELEC 1;", 2, 'syntax error at or near "SELEC"'),
    ],
)
def test_a_failed_migration_is_rolled_back_and_reports_its_line(
    files: Files, text: str, line: int, reason: str
) -> None:
    files.write(_0001_a=A)
    files.migrate()
    files.write(_0002_b=text, _0003_c="CREATE TABLE shop.never (id int)")
    with pytest.raises(MigrationError) as failed:
        files.migrate()
    assert str(failed.value) == f"0002_b.sql, line {line}: {reason}"
    assert files.tables() == ["a"]
    assert files.record.failures == [("0002_b", "ada", str(failed.value))]
    assert files.plan().pending == ("0002_b", "0003_c")
    files.write(_0002_b=B)
    assert files.migrate().applied == ("0002_b", "0003_c")


def test_a_changed_file_is_rejected_before_any_migration(files: Files) -> None:
    files.write(_0001_a=A)
    files.migrate()
    files.write(_0001_a=A + " ", _0002_b=B)
    for call in (files.plan, files.migrate):
        with pytest.raises(
            MigrationError,
            match=r"0001_a\.sql was applied at .* by ada and has been changed since",
        ):
            call()
    assert files.tables() == ["a"]


def test_a_missing_file_of_an_applied_migration_is_rejected(files: Files) -> None:
    files.write(_0001_a=A, _0002_b=B, _0003_c="SELECT 1")
    files.migrate()
    files.remove("0002_b")
    with pytest.raises(
        MigrationError, match=r"0002_b\.sql was applied, but this version lacks the file"
    ):
        files.plan()


def test_a_new_migration_with_a_lower_number_than_an_applied_one_is_rejected(files: Files) -> None:
    files.write(_0001_a=A, _0003_c="SELECT 1")
    files.migrate()
    files.write(_0002_b=B)
    with pytest.raises(MigrationError, match=r"0002_b\.sql: 0003_c is already applied"):
        files.migrate()


def test_an_older_version_accepts_a_newer_schema(files: Files) -> None:
    """After a rollback, the older version has fewer migrations than the database."""
    files.write(_0001_a=A, _0002_b=B)
    files.migrate()
    files.remove("0002_b")
    assert files.migrate() == Result((), (), unknown=("0002_b",))


def count_waiting(files: Files) -> int:
    sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return int(files.run(sql)[0][0])


def test_a_concurrent_run_waits_for_the_first(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.migration.migrator.LOCK_TIMEOUT", 60)
    files.write(_0001_a=A + "SELECT pg_advisory_xact_lock(1);", _0002_b=B)
    results: dict[str, Result] = {}

    def run(caller: str) -> None:
        results[caller] = files.migrate(caller=caller)

    threads = [threading.Thread(target=run, args=(caller,)) for caller in ("ada", "bob")]
    with closing(files.postgres.connect(database=files.database)) as blocker:
        blocker.run("SELECT pg_advisory_lock(1)")
        for thread in threads:
            thread.start()
        # The first run waits in its migration, and the second run waits for the first run.
        eventually(lambda: count_waiting(files) == 2)
    for thread in threads:
        thread.join()
    applied = sorted(result.applied for result in results.values())
    assert applied == [(), ("0001_a", "0002_b")]
    assert len({row[0] for row in files.run("SELECT applied_by FROM migration.applied")}) == 1


def test_a_run_that_waits_too_long_for_the_lock_fails_before_its_timeout(files: Files) -> None:
    files.write(_0001_a=A)
    with closing(files.postgres.connect(database=files.database)) as holder:
        holder.run(f"SELECT pg_advisory_lock({ADVISORY_LOCK_KEY})")
        started = time.monotonic()
        with pytest.raises(MigrationError, match="another migration has held the lock for"):
            files.migrate(seconds=2 * TIMEOUT_MARGIN + 0.1)
        assert time.monotonic() - started < 5
    assert files.migrate().applied == ("0001_a",)


def test_a_crash_releases_the_lock(files: Files) -> None:
    files.write(_0001_a=A)
    crashed = files.postgres.connect(database=files.database)
    crashed.run(f"SELECT pg_advisory_lock({ADVISORY_LOCK_KEY})")
    crashed._usock.shutdown(2)  # the connection also closes when the function is killed
    assert files.migrate().applied == ("0001_a",)


def test_a_migration_that_takes_too_long_fails_before_the_functions_timeout(files: Files) -> None:
    files.write(_0001_a=f"{A}\nSELECT pg_sleep(30);")
    started = time.monotonic()
    with pytest.raises(
        MigrationError, match=r"0001_a\.sql, line 3: canceling statement due to statement timeout"
    ):
        files.migrate(seconds=TIMEOUT_MARGIN + 1)
    assert time.monotonic() - started < 5
    assert files.tables() == []


def test_a_migration_that_waits_too_long_for_a_table_lock_fails(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.migration.migrator.LOCK_TIMEOUT", 0.1)
    files.write(_0001_a=A)
    files.migrate()
    files.write(_0002_b="ALTER TABLE shop.a ADD COLUMN x int")
    with closing(files.postgres.connect(database=files.database)) as holder:
        holder.run("BEGIN")
        holder.run("SELECT * FROM shop.a")
        with pytest.raises(
            MigrationError, match=r"0002_b\.sql, line 1: canceling statement due to lock timeout"
        ):
            files.migrate()
    assert files.migrate().applied == ("0002_b",)


class UnavailableRecord(RecordedOutcomes):
    """A record of migrations whose table is unavailable."""

    def applied(self, migration: object) -> None:
        raise ConnectionError


def test_the_next_run_records_migrations_that_a_crashed_run_applied(files: Files) -> None:
    """The function ends after the commit in PostgreSQL and before the write to DynamoDB."""
    files.write(_0001_a=A)
    recorder, files.record = files.record, UnavailableRecord()
    with pytest.raises(ConnectionError):
        files.migrate()
    assert files.tables() == ["a"]
    files.record = recorder
    assert files.migrate() == Result((), ())
    assert [item.migration_id for item in recorder.migrations] == ["0001_a"]


def test_a_crash_before_the_commit_applies_nothing(files: Files) -> None:
    files.write(_0001_a=A + "SELECT pg_sleep(60);")
    errors: list[BaseException] = []

    def run() -> None:
        try:
            files.migrate()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    sleeping = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
    )
    rows = eventually(lambda: files.run(sleeping))
    files.run("SELECT pg_terminate_backend(:pid)", pid=rows[0][0])
    thread.join()
    assert errors
    assert files.tables() == []
    assert files.run("SELECT count(*) FROM migration.applied") == [[0]]


def test_session_settings_of_a_migration_are_reset(files: Files) -> None:
    files.write(_0001_a=f"{A} SET search_path = shop;", _0002_b="CREATE TABLE b (id int)")
    # The search_path of the first migration no longer applies. Therefore PostgreSQL tries to create
    # the table in `public`, where the owner role has no permission.
    with pytest.raises(
        MigrationError, match=r"0002_b\.sql, line 1: permission denied for schema public"
    ):
        files.migrate()


class Platform:
    """A database with the schema that the platform's migrations create."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self.postgres, self.database = postgres, database

    def as_role(self, role: str) -> pg8000.native.Connection:
        return self.postgres.connect(role, self.database)


@pytest.fixture
def platform(postgres: Postgres, migrated: str) -> Iterator[Platform]:
    with postgres.database(migrated) as name:
        yield Platform(postgres, name)


def test_the_schema_is_owned_by_a_role_without_login(platform: Platform) -> None:
    owners = platform.postgres.run(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'catalog'", platform.database
    )
    assert owners == [["migration"]]
    [[login, superuser]] = platform.postgres.run(
        "SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = 'migration'"
    )
    assert (login, superuser) == (False, False)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE catalog.listings",
        "ALTER TABLE catalog.listings ADD COLUMN x int",
        "CREATE TABLE catalog.x (id int)",
        "CREATE TABLE public.x (id int)",
        "DELETE FROM catalog.listings",
        "TRUNCATE catalog.ratings",
        "UPDATE catalog.ratings SET stars = 5",
        "DELETE FROM catalog.inquiries",
        "UPDATE catalog.categories SET listings = 0",
        "SELECT * FROM migration.applied",
        "CREATE ROLE x",
        "SET ROLE migration",
    ],
)
def test_the_service_role_has_only_the_needed_privileges(platform: Platform, sql: str) -> None:
    with (
        closing(platform.as_role("catalog")) as connection,
        pytest.raises(Exception, match="permission denied|must be owner"),
    ):
        connection.run(sql)


def test_the_health_role_may_only_log_in(platform: Platform) -> None:
    with closing(platform.as_role("health")) as connection:
        assert connection.run("SELECT 1") == [[1]]
        for sql in (
            "SELECT * FROM catalog.categories",
            "SELECT * FROM migration.applied",
            "CREATE TABLE public.x ()",
        ):
            with pytest.raises(Exception, match="permission denied"):
                connection.run(sql)


def test_other_roles_cannot_connect(platform: Platform, postgres: Postgres) -> None:
    postgres.run("DROP ROLE IF EXISTS stranger")
    postgres.run("CREATE ROLE stranger LOGIN")
    postgres.run("GRANT rds_iam TO stranger")
    # PostgreSQL does not copy privileges on a database to copies of the database. Therefore this
    # test runs the migrations on an empty database.
    with (
        postgres.database() as name,
        closing(postgres.connect(DATABASE_MASTER, name)) as connection,
    ):
        Migrator(
            connection, read_migrations(), RecordedOutcomes(), caller="t", remaining=lambda: 300.0
        ).migrate()
        with pytest.raises(Exception, match="permission denied for database"):
            postgres.connect("stranger", name)


def test_services_log_in_with_iam(platform: Platform, postgres: Postgres) -> None:
    """In Aurora, the members of the role rds_iam log in with IAM tokens."""
    members = postgres.run(
        "SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member "
        "JOIN pg_roles r ON r.oid = a.roleid WHERE r.rolname = 'rds_iam' ORDER BY 1"
    )
    assert {"catalog", "health", DATABASE_MASTER} <= {row[0] for row in members}
