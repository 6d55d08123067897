"""Tests migrations: requests to the migration function, and their results."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import HTTPClientError
from typer.testing import CliRunner

from environments import load_environment
from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands import upkeep as command
from ops.deployment.migrations import Migrated, MigrationFunction, plan_migrations, run_migrations
from ops.errors import OperatorError

NAME = "migration-lambda-local"
ARN = "arn:aws:iam::123456789012:user/ada"


class Function:
    """A fake Lambda client with a migration function. Records the requests.

    Args:
        pending: The migrations that the function has not applied yet.
        unknown: The migrations that were applied but that the function does not have.
        failing: The migration that fails.
    """

    def __init__(self, *pending: str, unknown: tuple[str, ...] = (), failing: str = "") -> None:
        self.pending, self.unknown, self.failing = list(pending), list(unknown), failing
        self.requests: list[dict[str, Any]] = []
        self.settings: Any = None

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert (FunctionName, Qualifier) == (NAME, "live")
        event = json.loads(Payload)
        self.requests.append(event)
        applied: list[str] = []
        if not event.get("plan"):
            if self.pending[:1] == [self.failing]:
                error = {
                    "errorMessage": f"{self.failing}.sql, line 3: no",
                    "errorType": "MigrationError",
                }
                return {
                    "FunctionError": "Unhandled",
                    "Payload": io.BytesIO(json.dumps(error).encode()),
                }
            applied, self.pending = self.pending[: event["limit"]], self.pending[event["limit"] :]
        result = {"applied": applied, "pending": self.pending, "unknown": self.unknown}
        return {"Payload": io.BytesIO(json.dumps(result).encode())}

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": ARN, "Account": "000000000000"}


@dataclass(frozen=True)
class MigrationCloud(Cloud):
    """The local environment, in which every AWS client is a fake with the migration function."""

    function: Function = field(default_factory=Function)

    def client(
        self, service: Any, region: str | None = None, settings: Config | None = None
    ) -> Any:
        self.function.settings = settings or self.function.settings
        return self.function


def cloud(function: Function) -> Cloud:
    return MigrationCloud(load_environment("local", variables={}), {}, function=function)


def test_each_migration_is_a_separate_invocation_that_names_the_caller(
    capsys: pytest.CaptureFixture[str],
) -> None:
    function = Function("0001_a", "0002_b")
    result = run_migrations(cloud(function), NAME)
    assert result == Migrated(["0001_a", "0002_b"], [], [])
    assert function.requests == [{"plan": True}, {"by": ARN, "limit": 1}, {"by": ARN, "limit": 1}]
    assert capsys.readouterr().err.splitlines() == [
        "Migration 1 of 2: applied 0001_a",
        "Migration 2 of 2: applied 0002_b",
    ]
    assert result.line() == "Migrations: applied 0001_a, 0002_b"


def test_run_without_pending_migrations_still_invokes_the_function() -> None:
    function = Function(unknown=("0009_later",))
    result = run_migrations(cloud(function), NAME)
    assert function.requests == [{"plan": True}, {"by": ARN, "limit": 1}]
    assert (
        result.line()
        == "Migrations: nothing to do (the schema is ahead of this version by 0009_later)"
    )


def test_plan_applies_nothing() -> None:
    function = Function("0001_a")
    assert plan_migrations(cloud(function), NAME) == Migrated([], ["0001_a"], [])
    assert function.requests == [{"plan": True}]


def test_failed_migration_stops_the_run_and_its_message_is_reported() -> None:
    function = Function("0001_a", "0002_b", failing="0002_b")
    with pytest.raises(OperatorError, match=r"0002_b\.sql, line 3: no"):
        run_migrations(cloud(function), NAME)
    assert function.pending == ["0002_b"]


def test_client_waits_longer_than_the_functions_timeout() -> None:
    function = Function()
    connected = cloud(function)
    run_migrations(connected, NAME)
    assert (
        function.settings.read_timeout > connected.environment.function("migration").timeout >= 300
    )


def test_command_prints_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function("0001_a")
    connected = cloud(function)
    monkeypatch.setattr(command, "connect", lambda *_: connected)
    monkeypatch.setattr(command, "function_name", lambda _: NAME)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["migrate", "local", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert run("--plan") == "pending   0001_a\n"
    assert json.loads(run("--plan", "--json")) == {
        "applied": [],
        "pending": ["0001_a"],
        "unknown": [],
    }
    assert run() == "Migrations: applied 0001_a\n"
    assert run("--plan") == "Nothing is pending\n"
    assert json.loads(run("--json")) == {"applied": [], "pending": [], "unknown": []}


@pytest.fixture
def dead_server() -> Iterator[tuple[str, list[bytes]]]:
    """Yields the URL of a server that closes connections without a response, and the list of
    received requests.
    """
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    request = connection.recv(65536)
                    if not request:
                        return
                    requests.append(request)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
        socket.create_connection(server.getsockname()).close()
        thread.join()


def test_invocation_without_response_is_not_retried(dead_server: tuple[str, list[bytes]]) -> None:
    endpoint, requests = dead_server
    with pytest.raises(HTTPClientError):
        MigrationFunction(
            Cloud(load_environment("local", variables={}), {}, endpoint), NAME
        ).invoke({"limit": 1})
    assert [request.split()[1] for request in requests] == [
        b"/2015-03-31/functions/migration-lambda-local/invocations?Qualifier=live"
    ]
