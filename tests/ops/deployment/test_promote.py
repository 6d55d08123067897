"""Tests promotions: their order, gates and approval."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from environments import load_environment
from ops.checkout import Checkout
from ops.cloud import Cloud
from ops.deployment.promote import Collaborators, Promotion, promote_commit
from ops.errors import OperatorError
from ops.root import Root
from ops.smoke import Check
from tests.ops.traffic.releases import make_ledger

COMMIT = "a" * 40


class World:
    """The environments dev and staging, which run COMMIT. Every gate passes."""

    def __init__(self) -> None:
        self.clouds = {
            name: Cloud(load_environment(name, variables={}), {})
            for name in ("dev", "staging", "prod")
        }
        self.ledgers = {
            name: make_ledger(cloud, time.time, name) for name, cloud in self.clouds.items()
        }
        for name in ("dev", "staging"):
            self.record_deployment(name, COMMIT)
        self.checkout = Checkout(COMMIT, changed=False)
        self.calls: list[str] = []
        self.connected: list[str] = []
        self.failed_checks: dict[str, list[Check]] = {}
        self.failing: set[str] = set()

    def record_deployment(self, name: str, commit: str) -> None:
        self.ledgers[name].store(
            "#stage", self.ledgers[name].now(), {"commit": commit, "who": "ann"}
        )

    def connect(self, name: str) -> Cloud:
        self.connected.append(name)
        return self.clouds[name]

    def run_smoke_tests(self, cloud: Cloud) -> list[Check]:
        self.calls.append(f"smoke {cloud.environment.name}")
        return self.failed_checks.get(cloud.environment.name, [])

    def run_suite(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise OperatorError(f"Gate {name} failed")

    def deploy(self, cloud: Cloud, *_: object, **__: object) -> dict[str, Any]:
        self.calls.append(f"deploy {cloud.environment.name}")
        return {}

    def promote(
        self, source: str, target: str, approve: Callable[[str], str] | None = None, **options: Any
    ) -> dict[str, Any]:
        promotion = Promotion(source, self.clouds[target], lambda: self.connect(source), **options)
        return promote_commit(
            promotion,
            Root(),
            Path("out"),
            lambda _: None,
            approve=approve,
            collaborators=Collaborators(
                checkout=lambda: self.checkout,
                run_suite=self.run_suite,
                run_smoke_tests=self.run_smoke_tests,
                deploy=self.deploy,
            ),
        )


@pytest.fixture
def world(aws: None) -> World:
    return World()


def test_promotion_runs_gates_then_deploys_then_runs_smoke_tests_of_the_target(
    world: World,
) -> None:
    result = world.promote("dev", "staging")
    assert world.calls == ["tests", "integration", "smoke dev", "deploy staging", "smoke staging"]
    assert (result["commit"], set(result["gates"])) == (COMMIT, {"tests", "integration", "smoke"})
    [recorded] = world.ledgers["staging"].latest("#promotion")
    assert (recorded["from"], recorded["commit"]) == ("dev", COMMIT)
    assert recorded["who"] == world.clouds["staging"].operator


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (
            "dev",
            "prod",
            "prod is promoted from staging, not from dev: environments cannot be skipped",
        ),
        ("staging", "dev", "dev is not promoted from another environment"),
        ("prod", "staging", "staging is promoted from dev, not from prod"),
    ],
)
def test_promotion_cannot_skip_an_environment(
    world: World, source: str, target: str, message: str
) -> None:
    with pytest.raises(OperatorError, match=message):
        world.promote(source, target, approved_by="bob")
    assert world.calls == []


def test_checkout_must_be_the_clean_commit_of_the_source_environment(world: World) -> None:
    world.record_deployment("dev", "b" * 40)
    with pytest.raises(
        OperatorError, match=f"dev runs commit {'b' * 40}, but the checkout is at {COMMIT}"
    ):
        world.promote("dev", "staging")
    world.checkout = Checkout(COMMIT, changed=True)
    with pytest.raises(OperatorError, match="uncommitted changes"):
        world.promote("dev", "staging")
    assert world.calls == []


@pytest.mark.parametrize("gate", ["tests", "integration"])
def test_failed_suite_stops_the_promotion(world: World, gate: str) -> None:
    world.failing = {gate}
    with pytest.raises(OperatorError, match=f"Gate {gate} failed"):
        world.promote("dev", "staging")
    assert "deploy staging" not in world.calls


def test_failed_smoke_test_of_the_source_environment_stops_the_promotion(world: World) -> None:
    world.failed_checks = {
        "dev": [
            Check("post", "GET /v1/posts", ok=False, status=500, seconds=0.1, detail="returned 500")
        ]
    }
    with pytest.raises(
        OperatorError,
        match="smoke tests of dev received 1 wrong responses: GET /v1/posts returned 500",
    ):
        world.promote("dev", "staging")
    assert "deploy staging" not in world.calls


def test_suites_run_once_per_commit_and_smoke_tests_each_time(world: World) -> None:
    world.promote("dev", "staging")
    world.calls.clear()
    world.promote("dev", "staging")
    assert world.calls == ["smoke dev", "deploy staging", "smoke staging"]


def test_suites_that_passed_in_an_earlier_job_are_recorded_and_not_run(world: World) -> None:
    world.promote("dev", "staging", passed=["tests", "integration"])
    assert world.calls == ["smoke dev", "deploy staging", "smoke staging"]
    assert world.ledgers["dev"].get("#gate", f"{COMMIT}/tests")["told"] is True  # type: ignore[index]


def test_promotion_does_not_connect_to_the_source_environment_if_the_pipeline_passed_all_gates(
    world: World,
) -> None:
    result = world.promote("dev", "staging", passed=["tests", "integration", "smoke"])
    assert world.calls == ["deploy staging", "smoke staging"]
    assert set(result["gates"]) == {"tests", "integration", "smoke"}
    world.checkout = Checkout(COMMIT, changed=True)
    with pytest.raises(OperatorError, match="uncommitted changes"):
        world.promote("dev", "staging", passed=["tests", "integration", "smoke"])
    assert world.connected == []


def test_promotion_to_prod_needs_an_approval_and_records_it(world: World) -> None:
    with pytest.raises(OperatorError, match="A promotion to prod needs an approval"):
        world.promote("staging", "prod")
    assert "deploy prod" not in world.calls
    world.promote("staging", "prod", approved_by="bob")
    world.promote("staging", "prod", approve=lambda _: "eve")
    assert [item["approved_by"] for item in world.ledgers["prod"].latest("#promotion")] == [
        "eve",
        "bob",
    ]
