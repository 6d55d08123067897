"""Tests a function's connection to a real PostgreSQL."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import boto3
import msgspec
import pytest
from aws_lambda_powertools.logging import Logger

from environments.resource_names import DATABASE_MASTER
from lambdas.common.problems import Problem
from lambdas.common.storage import database as module
from lambdas.common.storage.database import (
    Credentials,
    Database,
    DatabaseSettings,
    SecretCredentials,
    connect,
    sqlstate,
)
from tests.lambdas.support import REGION
from tests.postgres import Postgres


@pytest.fixture
def name(postgres: Postgres, migrated: str) -> Iterator[str]:
    with postgres.database(migrated) as name:
        postgres.run("CREATE TABLE notes (id int PRIMARY KEY, text text)", name)
        postgres.run("GRANT ALL ON notes TO catalog", name)
        yield name


@pytest.fixture
def session() -> boto3.session.Session:
    return boto3.session.Session(region_name=REGION)


@pytest.fixture
def database(
    postgres: Postgres, name: str, session: boto3.session.Session, logger: Logger
) -> Iterator[Database]:
    database = Database(postgres.settings(name), session, logger)
    yield database
    database._drop()


def backend(database: Database) -> int:
    """Returns the process id of the connection's server process."""
    [[pid]] = database.read("SELECT pg_backend_pid()")
    return int(pid)


def end(postgres: Postgres, database: Database) -> None:
    """Ends the connection on the server, like a failover or an idle timeout."""
    pid = backend(database)
    postgres.run("SELECT pg_terminate_backend(:pid)", pid=pid)
    while postgres.run("SELECT 1 FROM pg_stat_activity WHERE pid = :pid", pid=pid):
        time.sleep(0.01)


def add(database: Database, number: int) -> None:
    with database.transaction() as run:
        run("INSERT INTO notes VALUES (:id, 'x')", id=number)


@pytest.mark.parametrize(
    "text", ["null", "NULL", "", " ", '"', "\\", '\\"', "{a,b}", "a,b", "\u00e9"]
)
def test_any_text_can_be_an_element_of_an_array(database: Database, text: str) -> None:
    for texts in ([text], [text, "x", text]):
        [[stored]] = database.read("SELECT to_json(:texts::text[])::text", texts=texts)
        assert json.loads(stored) == texts
    assert database.read("SELECT cardinality(:texts::text[])", texts=[]) == [[0]]


def notes(postgres: Postgres, name: str) -> list[int]:
    return [row[0] for row in postgres.run("SELECT id FROM notes ORDER BY id", name)]


def test_the_connection_is_reused(database: Database) -> None:
    first = backend(database)
    add(database, 1)
    assert backend(database) == first


def test_an_error_in_a_transaction_rolls_it_back(
    postgres: Postgres, name: str, database: Database
) -> None:
    def fail() -> None:
        with database.transaction() as run:
            run("INSERT INTO notes VALUES (1, 'x')")
            raise LookupError

    first = backend(database)
    with pytest.raises(LookupError):
        fail()
    assert notes(postgres, name) == []
    assert backend(database) == first


def test_an_sql_error_is_propagated_and_keeps_the_connection(
    postgres: Postgres, name: str, database: Database
) -> None:
    add(database, 1)
    first = backend(database)
    with pytest.raises(Exception, match="duplicate key") as refused:
        add(database, 1)
    assert module.constraint(refused.value) == "notes_pkey"
    add(database, 2)
    assert backend(database) == first
    assert notes(postgres, name) == [1, 2]


def test_a_connection_that_was_lost_between_requests_is_reopened(
    postgres: Postgres, name: str, database: Database
) -> None:
    end(postgres, database)
    add(database, 1)
    end(postgres, database)
    assert database.read("SELECT count(*) FROM notes") == [[1]]
    assert notes(postgres, name) == [1]


@pytest.mark.parametrize("is_write", [False, True], ids=["read", "write"])
def test_a_connection_that_was_idle_for_too_long_is_reopened(
    postgres: Postgres,
    name: str,
    session: boto3.session.Session,
    logger: Logger,
    *,
    is_write: bool,
) -> None:
    """In clusters that can pause, PostgreSQL ends connections that are idle for too long."""
    postgres.run(f"ALTER DATABASE {name} SET idle_session_timeout = '200ms'")
    database = Database(postgres.settings(name), session, logger)
    pid = backend(database)
    while postgres.run("SELECT 1 FROM pg_stat_activity WHERE pid = :pid", pid=pid):
        time.sleep(0.05)
    if is_write:
        add(database, 1)
    else:
        assert database.read("SELECT count(*) FROM notes") == [[0]]
    assert notes(postgres, name) == ([1] if is_write else [])
    database._drop()


def test_a_connection_lost_in_a_transaction_raises_503_and_writes_nothing(
    postgres: Postgres, name: str, database: Database
) -> None:
    pid = backend(database)

    def die() -> None:
        with database.transaction() as run:
            run("INSERT INTO notes VALUES (1, 'x')")
            postgres.run("SELECT pg_terminate_backend(:pid)", pid=pid)
            run("INSERT INTO notes VALUES (2, 'x')")

    with pytest.raises(Problem) as problem:
        die()
    assert (problem.value.status, problem.value.code) == (503, "database_unavailable")
    assert problem.value.headers["Retry-After"] == "5"
    add(database, 3)
    assert notes(postgres, name) == [3]


def test_a_statement_that_exceeds_the_time_limit_raises_503(
    postgres: Postgres, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATEMENT_TIMEOUT", 0.1)
    with pytest.raises(Problem) as problem:
        database.read("SELECT pg_sleep(5)")
    assert (problem.value.status, problem.value.code) == (503, "database_busy")
    assert problem.value.headers["Retry-After"] == "1"


def test_a_statement_that_waits_too_long_for_a_lock_raises_503(
    postgres: Postgres, name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT", 0.1)
    with closing(postgres.connect(database=name)) as other:
        other.run("BEGIN")
        other.run("LOCK TABLE notes")
        with pytest.raises(Problem) as problem:
            add(database, 1)
        other.run("ROLLBACK")
    assert problem.value.code == "database_busy"
    add(database, 1)


def test_postgresql_ends_transactions_that_are_idle_for_7_seconds(
    postgres: Postgres, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database.read("SELECT current_setting('idle_in_transaction_session_timeout')") == [
        ["7s"]
    ]


def scripted_server(*messages: bytes) -> Iterator[int]:
    """Yields the port of a server.

    The server sends these messages to each connection, and then closes the connection.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    if not connection.recv(65536):
                        return
                    for message in messages:
                        connection.sendall(message)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        socket.create_connection(server.getsockname()).close()
        thread.join()


def error_response(code: str) -> bytes:
    fields = b"".join(
        tag + text.encode() + b"\0"
        for tag, text in ((b"S", "FATAL"), (b"C", code), (b"M", "secret"))
    )
    return b"E" + (len(fields) + 5).to_bytes(4) + fields + b"\0"


@pytest.mark.parametrize(
    "code",
    ["57P03", "57P01", "53300", "08006"],
    ids=["starting", "shutting-down", "too-many-connections", "lost"],
)
def test_a_database_that_is_starting_or_has_no_free_connection_raises_503_immediately(
    code: str,
    session: boto3.session.Session,
    logger: Logger,
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    for port in scripted_server(error_response(code)):
        settings = DatabaseSettings(
            stage="local",
            region=REGION,
            rds_endpoint=f"127.0.0.1:{port}",
            rds_database="d",
            rds_username="catalog",
        )
        for use in (lambda d: d.read("SELECT 1"), lambda d: add(d, 1)):
            begun = time.monotonic()
            with pytest.raises(Problem) as problem:
                use(Database(settings, session, logger))
            assert time.monotonic() - begun < 3
            assert (problem.value.status, problem.value.headers["Retry-After"]) == (503, "5")
    assert {line["sqlstate"] for line in logged()} == {code}
    assert "secret" not in json.dumps(logged())


def test_an_unreachable_database_raises_503(
    session: boto3.session.Session, logger: Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NETWORK_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = DatabaseSettings(
            stage="local",
            region=REGION,
            rds_endpoint=f"127.0.0.1:{silent.getsockname()[1]}",
            rds_database="d",
            rds_username="catalog",
        )
        with pytest.raises(Problem) as problem:
            Database(settings, session, logger).read("SELECT 1")
    assert problem.value.code == "database_unavailable"


class ResumingServer:
    """Forwards connections to PostgreSQL. While `is_paused`, it accepts them but sends nothing."""

    def __init__(self, port: int) -> None:
        self.is_paused = False
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def pause(self) -> None:
        """Sets `is_paused`.

        Closes all connections, as PostgreSQL does after `idle_session_timeout`.
        """
        self.is_paused = True
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            client, _ = self._server.accept()
            if self.is_paused:
                self._open.append(client)
                continue
            server = socket.create_connection(("127.0.0.1", self._port))
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("is_write", [False, True], ids=["read", "write"])
def test_a_paused_database_raises_503_until_it_has_resumed(
    postgres: Postgres,
    name: str,
    session: boto3.session.Session,
    logger: Logger,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_write: bool,
) -> None:
    """The cluster closes the idle connection of a frozen Lambda function, and then pauses."""
    settings = postgres.settings(name)
    server = ResumingServer(int(settings.rds_endpoint.rpartition(":")[2]))
    database = Database(
        msgspec.structs.replace(settings, rds_endpoint=server.address), session, logger
    )
    use: Callable[[], object] = (
        (lambda: add(database, 7))
        if is_write
        else (lambda: database.read("SELECT count(*) FROM notes"))
    )
    database.read("SELECT 1")
    server.pause()
    with monkeypatch.context() as patch:
        patch.setattr(module, "NETWORK_TIMEOUT", 0.3)
        for _ in range(2):
            with pytest.raises(Problem) as problem:
                use()
            assert (problem.value.status, problem.value.headers["Retry-After"]) == (503, "5")
    server.is_paused = False
    use()
    assert notes(postgres, name) == ([7] if is_write else [])
    database._drop()


def test_two_waits_for_a_paused_database_end_before_api_gateways_timeout() -> None:
    """One request can wait twice: until the old connection fails, and then for a new one."""
    assert 2 * module.NETWORK_TIMEOUT + module.STATEMENT_TIMEOUT < 29


class Secrets:
    """A Secrets Manager client with one secret of RDS."""

    def __init__(self, username: str, *passwords: str) -> None:
        self._username = username
        self.passwords = list(passwords)
        self.reads = 0

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803
        assert SecretId == "arn:of:the:secret"
        self.reads += 1
        password = self.passwords.pop(0) if len(self.passwords) > 1 else self.passwords[0]
        return {"SecretString": json.dumps({"username": self._username, "password": password})}


@pytest.fixture(scope="module")
def guarded(postgres: Postgres) -> str:
    """Creates a database user that needs a password, and returns the user's name."""
    postgres.require_passwords("guarded")
    postgres.run("CREATE ROLE guarded LOGIN PASSWORD 'new'")
    return "guarded"


def attempt(postgres: Postgres, secrets: Secrets) -> None:
    client: Any = secrets
    get_credentials = SecretCredentials(lambda: client, "arn:of:the:secret")
    connection = connect(
        postgres.address, "postgres", get_credentials, ca_file=None, timeout=5, application="t"
    )
    connection.close()


@pytest.mark.parametrize(
    ("passwords", "reads"), [(["new"], 1), (["old", "new"], 2)], ids=["current", "rotated"]
)
def test_rejected_credentials_are_read_once_more(
    postgres: Postgres, guarded: str, passwords: list[str], reads: int
) -> None:
    """A rotation can happen between reading the secret and connecting."""
    secrets = Secrets(guarded, *passwords)
    attempt(postgres, secrets)
    assert secrets.reads == reads


def test_wrong_credentials_are_tried_only_twice(postgres: Postgres, guarded: str) -> None:
    secrets = Secrets(guarded, "old")
    with pytest.raises(Exception, match="password authentication failed") as refused:
        attempt(postgres, secrets)
    assert sqlstate(refused.value) == "28P01"
    assert secrets.reads == 2


def test_a_token_is_signed_for_each_connection(
    postgres: Postgres, name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IAM tokens expire after 15 minutes, but a connection can be opened at any later time."""
    signed: list[str] = []

    def get_credentials() -> Credentials:
        signed.append("catalog")
        return Credentials("catalog")

    monkeypatch.setattr(database, "_get_credentials", get_credentials)
    database.read("SELECT 1")
    database.read("SELECT 1")
    assert len(signed) == 1
    end(postgres, database)
    database.read("SELECT 1")
    assert len(signed) == 2


def test_the_master_user_is_not_a_superuser(postgres: Postgres) -> None:
    """Aurora's master user has the same limits, so migrations that succeed here succeed there."""
    [[superuser]] = postgres.run(
        "SELECT rolsuper FROM pg_roles WHERE rolname = :name", name=DATABASE_MASTER
    )
    assert superuser is False
