"""The migration command: what it asks of the function, and what it makes of the answers."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import HTTPClientError
from typer.testing import CliRunner

from environments import load_environment
from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands import database as command
from ops.deployment import migrations
from ops.deployment.migrations import Migrated, MigrationFunction, plan_migrations, run_migrations
from ops.errors import OperatorError

WHO = "arn:aws:iam::123456789012:user/ada"


class Function:
    """A migration function with so much to do; it does what it is asked for."""

    def __init__(self, *pending: str, unknown: tuple[str, ...] = (), failing: str = "") -> None:
        self.pending, self.unknown, self.failing = list(pending), list(unknown), failing
        self.orders: list[dict[str, Any]] = []
        self.settings: Any = None

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert (FunctionName, Qualifier) == ("m", "live")
        order = json.loads(Payload)
        self.orders.append(order)
        applied: list[str] = []
        if not order.get("plan"):
            if self.pending[:1] == [self.failing]:
                error = {
                    "errorMessage": f"{self.failing}.sql, line 3: no",
                    "errorType": "MigrationError",
                }
                return {
                    "FunctionError": "Unhandled",
                    "Payload": io.BytesIO(json.dumps(error).encode()),
                }
            applied, self.pending = self.pending[: order["limit"]], self.pending[order["limit"] :]
        result = {"applied": applied, "pending": self.pending, "unknown": self.unknown}
        return {"Payload": io.BytesIO(json.dumps(result).encode())}

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": WHO, "Account": "000000000000"}


def cloud(function: Function, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    def connect(_cloud: Cloud, _service: str, *, settings: Config | None = None) -> Function:
        function.settings = settings or function.settings
        return function

    monkeypatch.setattr(Cloud, "client", connect)
    return Cloud(load_environment("local", variables={}), {})


def test_each_migration_is_an_invocation_of_its_own_and_says_who_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    function = Function("0001_a", "0002_b")
    said: list[str] = []
    monkeypatch.setattr(migrations, "report", said.append)
    result = run_migrations(cloud(function, monkeypatch), "m")
    assert result == Migrated(["0001_a", "0002_b"], [], [])
    assert function.orders == [{"plan": True}, {"by": WHO, "limit": 1}, {"by": WHO, "limit": 1}]
    assert said == ["Migration 1 of 2: applied 0001_a", "Migration 2 of 2: applied 0002_b"]
    assert result.line() == "Migrations: applied 0001_a, 0002_b"


def test_with_nothing_due_the_record_is_still_brought_up_to_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    function = Function(unknown=("0009_later",))
    result = run_migrations(cloud(function, monkeypatch), "m")
    assert function.orders == [{"plan": True}, {"by": WHO, "limit": 1}]
    assert (
        result.line()
        == "Migrations: nothing to do (the schema is ahead of this version by 0009_later)"
    )


def test_a_plan_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function("0001_a")
    assert plan_migrations(cloud(function, monkeypatch), "m") == Migrated([], ["0001_a"], [])
    assert function.orders == [{"plan": True}]


def test_a_failure_ends_it_with_the_functions_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function("0001_a", "0002_b", failing="0002_b")
    with pytest.raises(OperatorError, match=r"0002_b\.sql, line 3: no"):
        run_migrations(cloud(function, monkeypatch), "m")
    assert function.pending == ["0002_b"]


def test_it_is_waited_for_as_long_as_it_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function()
    connected = cloud(function, monkeypatch)
    run_migrations(connected, "m")
    assert (
        function.settings.read_timeout > connected.environment.function("migration").timeout >= 300
    )


def test_the_commands_answer_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Function("0001_a")
    connected = cloud(function, monkeypatch)
    monkeypatch.setattr(command, "connect", lambda *_: connected)
    monkeypatch.setattr(command, "function_name", lambda _: "m")

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
def mute() -> Iterator[tuple[str, list[bytes]]]:
    """An AWS that hangs up instead of answering: its address, and the requests it got."""
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


def test_an_invocation_whose_answer_is_lost_is_not_repeated(mute: tuple[str, list[bytes]]) -> None:
    endpoint, requests = mute
    with pytest.raises(HTTPClientError):
        MigrationFunction(Cloud(load_environment("local", variables={}), {}, endpoint), "m").invoke(
            {"limit": 1}
        )
    assert [request.split()[1] for request in requests] == [
        b"/2015-03-31/functions/m/invocations?Qualifier=live"
    ]
