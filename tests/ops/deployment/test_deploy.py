from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands import deployment as command
from ops.deployment import deploy as deployment
from ops.deployment.deploy import deploy_environment
from ops.errors import OperatorError
from ops.root import Root
from ops.smoke import Suite
from ops.smoke.person import People
from ops.terraform.runner import Apply, Plan
from ops.traffic.release import Releaser, Settings
from tests.ops.traffic.releases import (
    FakeClock,
    FakeLambda,
    FakeTopic,
    FakeWatch,
    make_ledger,
    zip_of,
)

FUNCTIONS = {"auth": "a", "migration": "m", "authorizer": "z"}
OUTPUTS = {
    "functions": FUNCTIONS,
    "log_groups": {name: f"/aws/lambda/{name}" for name in FUNCTIONS},
    "cognito_user_pool_id": "pool",
    "api_url": "http://api",
    "health_url": "http://h",
    "alerts_topic_arn": "arn:topic",
}


class World:
    """The parts `deploy` directs; the migration, the moves and the ledger are real, on a Lambda of three functions."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.done: list[str] = []
        self.plan_file = directory / "out/stacks/dev/release.tfplan"
        self.plan_file.parent.mkdir(parents=True)
        self.clock = FakeClock()
        self.ledger = make_ledger(cloud, self.clock)
        self.lambda_ = FakeLambda({name: {"1": b"one"} for name in FUNCTIONS.values()})
        self.lambda_.respond = self.answer
        self.topic = FakeTopic()
        self.migration: dict[str, Any] = {"applied": [], "pending": [], "unknown": []}
        self.checkout = zip_of(directory, b"two")
        self.shown: dict[str, Any] = {"resource_changes": []}
        self.environment = cloud.environment

    def answer(self, function: str, qualifier: str, event: dict[str, Any]) -> dict[str, Any]:
        assert function == "m"
        if event.get("plan"):  # what every run begins with
            self.done.append(f"migrate with version {self.lambda_.aliases['m']['version']}")
        return self.migration

    def plan(self, file: Path) -> Plan:
        self.done.append("plan")
        file.touch()
        return Plan(file, {"add": 1}, {})

    def apply(self, plan: Plan) -> Apply:
        assert plan.file.exists()
        self.done.append("apply")
        for code in self.lambda_.code.values():
            code["2"] = b"two"
        if self.environment.release_strategy == "all_at_once":
            for alias in self.lambda_.aliases.values():
                alias["version"] = "2"
        return Apply(counts=plan.counts, outputs=OUTPUTS)

    def step(self, name: str, result: Any = None) -> Any:
        def record(*_: object, **__: object) -> Any:
            self.done.append(name)
            return result

        return record

    def deploy(
        self, root: Root, strategy: str = "gradual", declined: bool = False
    ) -> dict[str, Any]:
        self.environment = self.environment.model_copy(update={"release_strategy": strategy})

        def confirm(*_: object) -> None:
            self.done.append("confirm")
            if declined:
                raise OperatorError("Not applied")

        settings = Settings(bake=10, interval=10)
        return deploy_environment(
            Cloud(self.environment, {}), root, self.plan_file.parents[2], confirm, settings
        )

    @property
    def moves(self) -> list[tuple[str, str]]:
        return [(name, version) for name, version, weights in self.lambda_.updates if not weights]


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(cloud, tmp_path)
    stack = SimpleNamespace(
        init=world.step("init"),
        plan=world.plan,
        apply=world.apply,
        show=lambda _: world.shown,
        directory=world.plan_file.parent,
    )
    watch = FakeWatch()
    clients = {"lambda": world.lambda_, "sns": world.topic, "cloudwatch": watch, "logs": watch}
    made = Cloud.client
    monkeypatch.setattr(
        Cloud, "client", lambda self, name, *a, **k: clients.get(name) or made(self, name, *a, **k)
    )

    @contextmanager
    def nobody(*_: object) -> Iterator[People]:
        yield People("t.e30.s", "t.e30.s", {})

    def package(_: Cloud, services: Sequence[str]) -> dict[str, Path]:
        return dict.fromkeys(services, world.checkout)

    replaced: dict[str, Any] = {
        "prepare_stack": lambda *_: stack,
        "outputs_or_none": lambda _: OUTPUTS,
        "Ledger": lambda _: world.ledger,
        "Releaser": functools.partial(
            Releaser,
            package=package,
            sign_in=nobody,
            suites=lambda: {"auth": Suite(service="auth")},
            sleep=world.clock.sleep,
            clock=world.clock,
        ),
        "package": package,
        "publish": world.step("publish", ["index.html"]),
        "wait_until_healthy": world.step("health", SimpleNamespace(body={"status": "ok"})),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(deployment, name, value)
    return world


def test_a_gradual_deployment_migrates_with_the_new_code_before_any_other_traffic_moves(
    root: Root, world: World
) -> None:
    result = world.deploy(root)
    assert world.done == ["plan", "confirm", "apply", "migrate with version 2", "publish", "health"]
    assert world.moves == [("m", "2"), ("z", "2"), ("a", "2")]
    assert [item["service"] for item in result["moved"]] == ["migration", "authorizer", "auth"]
    assert ("a", "1", {"2": 0.1}) in world.lambda_.updates
    assert not world.plan_file.exists()
    assert world.topic.subjects == ["dev: deploy started", "dev: deploy succeeded"]
    assert "1 to add" in world.topic.messages[0]["Message"]
    assert [item["who"] for item in world.ledger.latest("#stage")]


def test_where_the_apply_moves_the_traffic_nothing_else_does_and_it_is_recorded(
    root: Root, world: World
) -> None:
    result = world.deploy(root, "all_at_once")
    assert world.done == ["plan", "confirm", "apply", "migrate with version 2", "publish", "health"]
    assert world.lambda_.updates == []
    assert {(item["service"], item["to"]) for item in result["moved"]} == {
        (name, "2") for name in FUNCTIONS
    }
    [record] = world.ledger.history("auth")
    assert (record.kind, record.from_version, record.to_version, record.outcome) == (
        "apply",
        "1",
        "2",
        "promoted",
    )


def test_code_that_terraform_knows_nothing_of_is_put_right(root: Root, world: World) -> None:
    """`deploy-function` gave auth other code: its package's name in the state is still the checkout's."""
    world.lambda_.code["a"]["3"] = b"somebody's experiment"
    world.deploy(root, "all_at_once")
    assert world.moves == [("a", "4")]
    assert world.lambda_.code["a"]["4"] == b"two"


def test_weights_that_a_killed_release_left_are_settled_before_the_plan(
    root: Root, world: World
) -> None:
    world.lambda_.aliases["a"]["weights"] = {"0": 0.1}
    with pytest.raises(OperatorError, match="Not applied"):
        world.deploy(root, declined=True)
    assert world.moves == [("a", "1")]


def test_an_apply_and_a_release_exclude_each_other(root: Root, world: World) -> None:
    with (
        world.ledger.locked("release of auth", "ann"),
        pytest.raises(OperatorError, match="release of auth by ann"),
    ):
        world.deploy(root)
    assert world.done == []


def test_an_apply_that_takes_away_what_the_live_version_uses_is_refused(
    root: Root, world: World
) -> None:
    gone = {"address": "aws_dynamodb_table.t", "type": "aws_dynamodb_table"}
    world.shown = {
        "resource_changes": [
            {**gone, "change": {"actions": ["delete"], "before": {"name": "a-table-1"}}}
        ]
    }
    with pytest.raises(
        OperatorError,
        match=r"aws_dynamodb_table\.t: version 1 of auth refers to it in its configuration",
    ):
        world.deploy(root)
    assert world.done == ["plan"]


def test_after_a_failed_migration_nothing_is_moved_or_published(root: Root, world: World) -> None:
    world.migration = {"errorMessage": "no"}
    with pytest.raises(OperatorError, match="no\nTraffic was not shifted"):
        world.deploy(root)
    assert world.moves == [("m", "2")]
    assert world.done == ["plan", "confirm", "apply", "migrate with version 2"]
    assert world.topic.subjects[-1] == "dev: deploy failed"


def test_a_declined_plan_is_not_applied_and_not_left(root: Root, world: World) -> None:
    with pytest.raises(OperatorError, match="Not applied"):
        world.deploy(root, declined=True)
    assert world.done == ["plan", "confirm"]
    assert world.moves == []
    assert not world.plan_file.exists()
    assert world.topic.messages == []


@pytest.mark.parametrize(("arguments", "asked"), [([], True), (["--yes"], False)])
def test_what_a_plan_destroys_is_named_whether_asked_or_not(
    arguments: list[str], asked: bool, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(
        Path("plan"),
        {"add": 1, "remove": 2},
        {"aws_s3_bucket.b": "destroy", "aws_rds_cluster.a": "replace"},
    )

    def deploy(
        _cloud: object, _root: object, _out: object, confirm: Any, _settings: object
    ) -> dict[str, str]:
        confirm(plan)
        return {"apiUrl": "http://api"}

    monkeypatch.setattr(command, "connect", lambda *_: None)
    monkeypatch.setattr(command, "deploy_environment", deploy)
    result = CliRunner().invoke(
        app, ["deploy", "dev", "--root", str(root.path), *arguments], input="y\n"
    )
    assert result.exit_code == 0
    named = "Plan for dev: 1 to add, 2 to remove\n  replace aws_rds_cluster.a\n  destroy aws_s3_bucket.b\n"
    assert result.stderr.rstrip(" ") == named + ("Apply it? [y/N]:" if asked else "")
