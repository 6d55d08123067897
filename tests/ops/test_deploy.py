from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config
from typer.testing import CliRunner

from environments import load_environment
from ops import deploy as deployment
from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands import deployment as command
from ops.deploy import deploy, move_traffic
from ops.errors import OperatorError
from ops.root import Root
from ops.terraform import Apply, Plan


class Lambda:
    """Lambda's versions and aliases, and one answer to every invocation."""

    def __init__(
        self, versions: dict[str, list[str]], live: dict[str, str], answer: dict[str, Any] | None = None
    ) -> None:
        self.versions, self.live, self.answer = versions, live, answer or {}
        self.moves: list[str] = []
        self.weights: dict[str, Any] = {}
        self.settings: Any = None

    def get_paginator(self, _: str) -> Any:
        lambda_ = self

        class Paginator:
            def paginate(self, *, FunctionName: str) -> list[Any]:  # noqa: N803
                # AWS lists versions as text, in no order that could be relied on, $LATEST among them.
                return [
                    {"Versions": [{"Version": "$LATEST"}]},
                    {"Versions": [{"Version": v} for v in lambda_.versions[FunctionName]]},
                ]

        return Paginator()

    def get_alias(self, *, FunctionName: str, Name: str) -> dict[str, Any]:  # noqa: N803
        assert Name == "live"
        return {"FunctionVersion": self.live[FunctionName], "RevisionId": "r", "RoutingConfig": self.weights}

    def update_alias(self, *, FunctionName: str, FunctionVersion: str, RoutingConfig: Any, **_: object) -> None:  # noqa: N803
        assert RoutingConfig == {"AdditionalVersionWeights": {}}
        self.live[FunctionName] = FunctionVersion
        self.moves.append(FunctionName)

    def invoke(self, **_: object) -> dict[str, Any]:
        self.answer["Payload"].seek(0)
        return self.answer

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": "arn:aws:iam::123456789012:user/ada"}


def cloud(client: Lambda, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    def connect(*_: object, settings: Config | None = None) -> Lambda:
        client.settings = settings
        return client

    monkeypatch.setattr(Cloud, "client", connect)
    return Cloud(load_environment("local", variables={}), {})


def test_traffic_moves_to_the_newest_version_the_authorizer_first(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Lambda({"a": ["9", "10", "2"], "z": ["1", "2"], "same": ["4"]}, {"a": "9", "z": "1", "same": "4"})
    moved = move_traffic(cloud(client, monkeypatch), {"auth": "a", "authorizer": "z", "chat": "same"})
    assert client.live == {"a": "10", "z": "2", "same": "4"}
    assert client.moves == ["z", "a"]
    assert moved[1] == {"service": "auth", "from": "9", "to": "10"}


def test_traffic_that_is_split_is_made_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Lambda({"a": ["2"]}, {"a": "2"})
    client.weights = {"AdditionalVersionWeights": {"1": 0.9}}
    move_traffic(cloud(client, monkeypatch), {"auth": "a"})
    assert client.moves == ["a"]


def test_moving_again_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Lambda({"a": ["1", "2"]}, {"a": "1"})
    connected = cloud(client, monkeypatch)
    move_traffic(connected, {"auth": "a"})
    assert move_traffic(connected, {"auth": "a"}) == []


def answer(body: Any, **extra: Any) -> dict[str, Any]:
    return {"Payload": io.BytesIO(json.dumps(body).encode()), **extra}


NOTHING: dict[str, list[str]] = {"applied": [], "pending": [], "unknown": []}


class World:
    """The parts `deploy` directs, the real migration and traffic among them, on a Lambda of three functions with a new version each."""

    def __init__(self, out: Path) -> None:
        self.done: list[str] = []
        self.plan_file = out / "stacks/dev/release.tfplan"
        self.plan_file.parent.mkdir(parents=True)
        self.client = Lambda({name: ["1", "2"] for name in "amz"}, dict.fromkeys("amz", "1"), answer(NOTHING))

    def plan(self, file: Path) -> Plan:
        self.done.append("plan")
        file.touch()
        return Plan(file, {"add": 1}, {})

    def apply(self, plan: Plan) -> Apply:
        assert plan.file.exists()
        self.done.append("apply")
        functions = {"auth": "a", "migration": "m", "authorizer": "z"}
        return Apply(
            counts=plan.counts, outputs={"functions": functions, "api_url": "http://api", "health_url": "http://h"}
        )

    def step(self, name: str, result: Any = None) -> Any:
        def record(*_: object) -> Any:
            self.done.append(name)
            return result

        return record

    def say(self, message: str) -> None:
        if message.startswith(("Migrations", "Traffic")):
            self.done.append(message)

    def release(self, root: Root, strategy: str = "gradual", declined: bool = False) -> dict[str, Any]:
        variables = {"DEV_ACCOUNT_ID": "123456789012"}
        environment = load_environment("dev", variables=variables).model_copy(update={"release_strategy": strategy})

        def confirm(*_: object) -> None:
            self.done.append("confirm")
            if declined:
                raise OperatorError("Not applied")

        return deploy(Cloud(environment, {}), root, self.plan_file.parents[2], confirm)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path / "out")
    stack = SimpleNamespace(init=world.step("init"), plan=world.plan, apply=world.apply)
    replaced: dict[str, Any] = {
        "synthesize": world.step("synthesize"),
        "remove_stale_lock": world.step("lock"),
        "Terraform": lambda *_: stack,
        "terraform": lambda _: None,
        "say": world.say,
        "publish": world.step("publish", ["index.html"]),
        "wait_until_healthy": world.step("health", SimpleNamespace(body={"status": "ok"})),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(deployment, name, value)
    monkeypatch.setattr(Cloud, "check_account", world.step("account"))
    monkeypatch.setattr(Cloud, "client", lambda *_, **__: world.client)
    return world


PLANNED = ["account", "synthesize", "lock", "init", "plan", "confirm"]


def test_a_gradual_release_migrates_with_the_new_code_before_any_other_traffic_moves(root: Root, world: World) -> None:
    result = world.release(root)
    assert world.done == [
        *PLANNED,
        "apply",
        "Traffic: migration from version 1 to 2",
        "Migrations: nothing to do",
        "Traffic: authorizer from version 1 to 2",
        "Traffic: auth from version 1 to 2",
        "publish",
        "health",
    ]
    assert [item["service"] for item in result["moved"]] == ["migration", "authorizer", "auth"]
    assert not world.plan_file.exists()


def test_where_the_apply_moves_the_traffic_nothing_else_does(root: Root, world: World) -> None:
    result = world.release(root, "all_at_once")
    said = ["Migrations: nothing to do", "Traffic: the apply moved it (all_at_once)"]
    assert world.done == [*PLANNED, "apply", *said, "publish", "health"]
    assert (world.client.moves, result["moved"]) == ([], [])


def test_after_a_failed_migration_nothing_is_moved_or_published(root: Root, world: World) -> None:
    world.client.answer = answer({"errorMessage": "no"}, FunctionError="Unhandled")
    with pytest.raises(OperatorError, match="no\nTraffic stays where it is"):
        world.release(root)
    assert world.client.moves == ["m"]
    assert world.done == [*PLANNED, "apply", "Traffic: migration from version 1 to 2"]


def test_a_declined_plan_is_not_applied_and_not_left(root: Root, world: World) -> None:
    with pytest.raises(OperatorError, match="Not applied"):
        world.release(root, declined=True)
    assert world.done == PLANNED
    assert world.client.moves == []
    assert not world.plan_file.exists()


@pytest.mark.parametrize(("arguments", "asked"), [([], True), (["--yes"], False)])
def test_what_a_plan_destroys_is_named_whether_asked_or_not(
    arguments: list[str], asked: bool, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(Path("plan"), {"add": 1, "remove": 2}, {"aws_s3_bucket.b": "destroy", "aws_rds_cluster.a": "replace"})

    def release(_cloud: object, _root: object, _out: object, confirm: Any) -> dict[str, str]:
        confirm(plan)
        return {"apiUrl": "http://api"}

    monkeypatch.setattr(command, "connect", lambda *_: None)
    monkeypatch.setattr(command, "release", release)
    result = CliRunner().invoke(app, ["deploy", "dev", "--root", str(root.path), *arguments], input="y\n")
    assert result.exit_code == 0
    named = "Plan for dev: 1 to add, 2 to remove\n  replace aws_rds_cluster.a\n  destroy aws_s3_bucket.b\n"
    assert result.stderr.rstrip(" ") == named + ("Apply it? [y/N]:" if asked else "")
