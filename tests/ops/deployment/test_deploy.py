"""Tests deployments of an environment."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ops.cloud import Cloud
from ops.commands.deployment import deployment_collaborators, plan_confirmation
from ops.deployment.deploy import Collaborators, deploy_environment
from ops.doctor.result import Finding
from ops.errors import OperatorError
from ops.local.platform import state_consistency
from ops.root import Root, write_json
from ops.smoke import Suite
from ops.smoke.person import People
from ops.terraform.runner import PlanFile, TerraformKilledError
from ops.traffic.release import Releaser, Settings
from tests.ops.clouds import FakeCloud, store_state
from tests.ops.terraform.fakes import FakeTerraform
from tests.ops.traffic.releases import (
    FakeClock,
    FakeCloudWatch,
    FakeLambda,
    FakeTopic,
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
    "direct_health_url": "http://direct",
    "alerts_topic_arn": "arn:topic",
}


class World:
    """An environment with three functions. The checkout has new code for each of them."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.calls: list[str] = []
        self.domain_error: BaseException | None = None
        self.findings: list[Finding] = []
        self.clock = FakeClock()
        self.ledger = make_ledger(cloud, self.clock)
        store_state(cloud, OUTPUTS)
        self.lambda_ = FakeLambda({name: {"1": b"one"} for name in FUNCTIONS.values()})
        self.lambda_.respond = self.invoke
        self.topic = FakeTopic()
        self.terraform = FakeTerraform(directory / "stack", self.calls)
        self.terraform.outputs = OUTPUTS
        self.terraform.before_apply = self.publish_versions
        self.migration: dict[str, Any] = {"applied": [], "pending": [], "unknown": []}
        self.package = zip_of(directory, b"two")
        watch = FakeCloudWatch()
        clients = {"lambda": self.lambda_, "sns": self.topic, "cloudwatch": watch, "logs": watch}
        self.cloud = FakeCloud(cloud.environment, {}, clients=clients)

    def invoke(self, function: str, qualifier: str, event: dict[str, Any]) -> dict[str, Any]:
        assert function == "m"
        if event.get("plan"):  # the first request of each migration run
            self.calls.append(f"migrate with version {self.lambda_.aliases['m']['version']}")
        return self.migration

    def publish_versions(self) -> None:
        """Publishes new versions as an apply does."""
        for code in self.lambda_.code.values():
            code["2"] = b"two"
        if self.cloud.environment.release_strategy == "all_at_once":
            for alias in self.lambda_.aliases.values():
                alias["version"] = "2"

    def examine(self, *_: object) -> list[Finding]:
        self.calls.append("examine")
        return self.findings

    def package_functions(self, _cloud: Cloud, services: Any) -> dict[str, Path]:
        return dict.fromkeys(services, self.package)

    def publish_site(self, *_: object) -> list[str]:
        self.calls.append("publish")
        return ["index.html"]

    def wait_until_healthy(self, url: str, authority: str | None) -> Any:
        assert (url, authority) == (OUTPUTS["direct_health_url"], None)
        self.calls.append("health")
        return SimpleNamespace(body={"status": "ok"})

    def wait_for_domain(self, _: Cloud, url: str) -> Any:
        assert url == OUTPUTS["health_url"]
        self.calls.append("domain")
        if self.domain_error:
            raise self.domain_error
        return SimpleNamespace(body={"status": "ok"})

    def deploy(
        self,
        root: Root,
        strategy: str = "gradual",
        *,
        declined: bool = False,
        examined: bool = False,
        collaborators: Collaborators | None = None,
    ) -> dict[str, Any]:
        environment = self.cloud.environment.model_copy(update={"release_strategy": strategy})
        self.cloud = replace(self.cloud, environment=environment)

        def confirm(_: PlanFile) -> None:
            self.calls.append("confirm")
            if declined:
                raise OperatorError("Not applied")

        return deploy_environment(
            self.cloud,
            root,
            root.path,
            confirm,
            settings=Settings(bake=10, interval=10),
            examined=examined,
            collaborators=replace(
                collaborators or Collaborators(),
                examine=self.examine,
                prepare_stack=lambda *_: self.terraform,
                package=self.package_functions,
                releaser=functools.partial(
                    Releaser,
                    package=self.package_functions,
                    sign_in=sign_in,
                    suites=lambda: {"auth": Suite(service="auth")},
                    sleep=self.clock.sleep,
                    clock=self.clock,
                ),
                publish_site=self.publish_site,
                wait_until_healthy=self.wait_until_healthy,
                wait_for_domain=self.wait_for_domain,
            ),
        )

    @property
    def full_shifts(self) -> list[tuple[str, str]]:
        """Pairs of a function and a version that received all its traffic, oldest shift first."""
        return [(name, version) for name, version, weights in self.lambda_.updates if not weights]


@contextmanager
def sign_in(*_: object) -> Iterator[People]:
    yield People("t.e30.s", "t.e30.s", {})


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path) -> World:
    return World(cloud, tmp_path)


def test_gradual_deployment_migrates_with_new_code_before_shifting_traffic_of_other_functions(
    root: Root, world: World
) -> None:
    result = world.deploy(root)
    assert world.calls == [
        "plan",
        "confirm",
        "apply",
        "migrate with version 2",
        "publish",
        "health",
        "domain",
    ]
    assert world.full_shifts == [("m", "2"), ("z", "2"), ("a", "2")]
    assert [item["service"] for item in result["released"]] == ["migration", "authorizer", "auth"]
    assert ("a", "1", {"2": 0.1}) in world.lambda_.updates
    assert world.terraform.plan_files() == []
    assert world.topic.subjects == ["dev: deploy started", "dev: deploy succeeded"]
    assert "1 to add" in world.topic.messages[0]["Message"]
    assert [item["who"] for item in world.ledger.latest("#stage")]


def test_all_at_once_deployment_records_the_traffic_shifts_of_the_apply(
    root: Root, world: World
) -> None:
    result = world.deploy(root, "all_at_once")
    assert world.calls == [
        "plan",
        "confirm",
        "apply",
        "migrate with version 2",
        "publish",
        "health",
        "domain",
    ]
    assert world.lambda_.updates == []
    assert {(item["service"], item["to"]) for item in result["released"]} == {
        (name, "2") for name in FUNCTIONS
    }
    [record] = world.ledger.history("auth")
    assert (record.kind, record.from_version, record.to_version, record.outcome) == (
        "apply",
        "1",
        "2",
        "promoted",
    )


def test_all_at_once_deployment_replaces_manually_uploaded_code(root: Root, world: World) -> None:
    # Terraform does not detect the uploaded code: its state still names the checkout's package. So
    # the plan does not change the function.
    world.lambda_.code["a"]["3"] = b"code of ops deploy-function"
    world.deploy(root, "all_at_once")
    assert world.full_shifts == [("a", "4")]
    assert world.lambda_.code["a"]["4"] == b"two"


def test_weights_of_an_interrupted_release_are_removed_before_the_plan(
    root: Root, world: World
) -> None:
    world.lambda_.aliases["a"]["weights"] = {"0": 0.1}
    with pytest.raises(OperatorError, match="Not applied"):
        world.deploy(root, declined=True)
    assert world.full_shifts == [("a", "1")]


def test_deployment_is_rejected_while_a_release_holds_the_lock(root: Root, world: World) -> None:
    with (
        world.ledger.locked("release of auth", "ann"),
        pytest.raises(OperatorError, match="release of auth by ann"),
    ):
        world.deploy(root)
    assert world.calls == []


def test_apply_that_destroys_a_table_of_the_live_version_is_rejected(
    root: Root, world: World
) -> None:
    table = {"address": "aws_dynamodb_table.t", "type": "aws_dynamodb_table"}
    world.terraform.plan_document = {
        "resource_changes": [
            {
                **table,
                "change": {"actions": ["delete"], "before": {"name": "a-table-1"}, "after": None},
            }
        ]
    }
    with pytest.raises(
        OperatorError,
        match=r"aws_dynamodb_table\.t: version 1 of auth refers to it in its configuration",
    ):
        world.deploy(root)
    assert world.calls == ["plan"]


def test_failed_migration_stops_traffic_shift_and_site_publication(
    root: Root, world: World
) -> None:
    world.migration = {"errorMessage": "no"}
    with pytest.raises(OperatorError, match="no\nTraffic was not shifted"):
        world.deploy(root)
    assert world.full_shifts == [("m", "2")]
    assert world.calls == ["plan", "confirm", "apply", "migrate with version 2"]
    assert world.topic.subjects[-1] == "dev: deploy failed"


@pytest.mark.parametrize("error", [OperatorError("not healthy"), KeyboardInterrupt()])
def test_deployment_is_recorded_before_it_waits_for_the_domain(
    root: Root, world: World, error: BaseException
) -> None:
    world.domain_error = error
    with pytest.raises(type(error)):
        world.deploy(root)
    assert len(world.ledger.latest("#stage")) == 1


def test_deployment_without_domains_ends_with_the_health_check(root: Root, world: World) -> None:
    environment = world.cloud.environment.model_copy(update={"domains": None})
    world.cloud = replace(world.cloud, environment=environment)
    world.deploy(root)
    assert world.calls[-1] == "health"


def test_failed_check_stops_the_deployment_unless_checks_are_skipped(
    root: Root, world: World
) -> None:
    world.findings = [
        Finding("ok", "fine", "", "clock"),
        Finding("failure", "5 of 5 used", "request 6", "VPCs"),
    ]
    with pytest.raises(OperatorError, match=r"(?s)VPCs .*5 of 5 used.*request 6.*--skip-doctor"):
        world.deploy(root, examined=True)
    assert world.calls == ["examine"]
    world.deploy(root)
    assert "apply" in world.calls


def test_warnings_are_reported_and_do_not_stop_the_deployment(
    root: Root, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.findings = [Finding("warning", "sandbox", "request access", "mail")]
    world.deploy(root, examined=True)
    assert "apply" in world.calls
    assert "request access" in capsys.readouterr().err


def test_declined_plan_is_not_applied_and_its_file_is_deleted(root: Root, world: World) -> None:
    with pytest.raises(OperatorError, match="Not applied"):
        world.deploy(root, declined=True)
    assert world.calls == ["plan", "confirm"]
    assert world.full_shifts == []
    assert world.terraform.plan_files() == []
    assert world.topic.messages == []


def test_a_killed_apply_is_recorded_only_for_the_embedded_aws(root: Root, world: World) -> None:
    write_json(root.path / "fit.json", {"doubtful": False, "applied": True})
    during: list[bool] = []

    def fail() -> None:
        during.append(state_consistency(root).is_doubtful)
        raise TerraformKilledError("killed")

    world.terraform.before_apply = fail
    for environment, is_doubtful in (("dev", False), ("local", True)):
        with pytest.raises(TerraformKilledError):
            world.deploy(root, collaborators=deployment_collaborators(environment, root))
        assert state_consistency(root).is_doubtful == is_doubtful
    assert during == [False, True]
    world.terraform.before_apply = world.publish_versions
    world.deploy(root, collaborators=deployment_collaborators("local", root))
    assert not state_consistency(root).is_doubtful


@pytest.mark.parametrize("yes", [False, True])
def test_confirmation_lists_destroyed_resources_even_with_the_option_yes(yes: bool) -> None:
    plan = PlanFile(
        Path("plan"),
        {"add": 1, "remove": 2},
        {"aws_s3_bucket.b": "destroy", "aws_rds_cluster.a": "replace"},
    )
    app = typer.Typer()
    app.command()(lambda: plan_confirmation("dev", yes)(plan))
    result = CliRunner().invoke(app, input="y\n")
    assert result.exit_code == 0
    lines = [
        "Plan for dev: 1 to add, 2 to remove",
        "  replace aws_rds_cluster.a",
        "  destroy aws_s3_bucket.b",
        "" if yes else "Apply it? [y/N]:",
    ]
    assert result.stderr.rstrip(" ") == "\n".join(lines)
