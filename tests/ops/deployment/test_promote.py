"""Promotion: its order, its gates, its approval."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from environments import load_environment
from ops.checkout import Checkout
from ops.cloud import Cloud
from ops.deployment import promote as module
from ops.deployment.promote import Promotion, promote_commit
from ops.errors import OperatorError
from ops.root import Root
from ops.smoke import Check
from ops.traffic.ledger import Ledger
from tests.ops.traffic.releases import FakeClock, make_ledger

COMMIT = "a" * 40


class World:
    """dev runs COMMIT; every gate would pass."""

    def __init__(self, aws: None) -> None:
        self.clock = FakeClock()
        self.clouds = {
            name: Cloud(load_environment(name, variables={}), {})
            for name in ("dev", "staging", "prod")
        }
        self.ledgers = {
            name: make_ledger(cloud, self.clock, name) for name, cloud in self.clouds.items()
        }
        for name in ("dev", "staging"):
            self.runs(name, COMMIT)
        self.checkout = Checkout(COMMIT, changed=False)
        self.done: list[str] = []
        self.connected: list[str] = []
        self.wrong: dict[str, list[Check]] = {}
        self.failing: set[str] = set()

    def runs(self, name: str, commit: str) -> None:
        self.ledgers[name].note(
            "#stage", self.ledgers[name].now(), {"commit": commit, "who": "ann"}
        )

    def connect(self, name: str) -> Cloud:
        self.connected.append(name)
        return self.clouds[name]

    def smoke(self, cloud: Cloud) -> list[Check]:
        self.done.append(f"smoke {cloud.environment.name}")
        return self.wrong.get(cloud.environment.name, [])

    def run(self, name: str) -> None:
        self.done.append(name)
        if name in self.failing:
            raise OperatorError(f"Gate {name} failed")

    def deploy(self, cloud: Cloud, *_: object) -> dict[str, Any]:
        self.done.append(f"deploy {cloud.environment.name}")
        return {}

    def promote(
        self, source: str, target: str, approve: Callable[[str], str] | None = None, **more: Any
    ) -> dict[str, Any]:
        promotion = Promotion(source, self.clouds[target], lambda: self.connect(source), **more)
        return promote_commit(promotion, Root(), Path("out"), lambda _: None, approve=approve)


@pytest.fixture
def world(aws: None, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(aws)
    monkeypatch.setattr(Cloud, "operator", "ann")
    monkeypatch.setattr(module, "checkout", lambda: world.checkout)
    monkeypatch.setattr(module, "run_smoke_tests", world.smoke)
    monkeypatch.setattr(module, "deploy_environment", world.deploy)
    monkeypatch.setattr(module, "_run_suite", world.run)
    monkeypatch.setattr(module, "Ledger", lambda cloud: Ledger(cloud, world.clock))
    return world


def test_a_commit_passes_every_gate_before_it_is_deployed_and_smoke_tests_after(
    world: World,
) -> None:
    result = world.promote("dev", "staging")
    assert world.done == ["tests", "integration", "smoke dev", "deploy staging", "smoke staging"]
    assert (result["commit"], set(result["gates"])) == (COMMIT, {"tests", "integration", "smoke"})
    [recorded] = world.ledgers["staging"].latest("#promotion")
    assert (recorded["from"], recorded["commit"], recorded["who"]) == ("dev", COMMIT, "ann")


@pytest.mark.parametrize(
    ("source", "target", "told"),
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
def test_no_stage_is_skipped(world: World, source: str, target: str, told: str) -> None:
    with pytest.raises(OperatorError, match=told):
        world.promote(source, target, approved_by="bob")
    assert world.done == []


def test_it_is_the_commit_that_runs_there(world: World) -> None:
    world.clock.now += 1
    world.runs("dev", "b" * 40)
    with pytest.raises(
        OperatorError, match=f"dev runs commit {'b' * 40}, but the checkout is at {COMMIT}"
    ):
        world.promote("dev", "staging")
    world.checkout = Checkout(COMMIT, changed=True)
    with pytest.raises(OperatorError, match="uncommitted changes"):
        world.promote("dev", "staging")
    assert world.done == []


@pytest.mark.parametrize("gate", ["tests", "integration"])
def test_a_gate_that_is_not_passed_stops_it(world: World, gate: str) -> None:
    world.failing = {gate}
    with pytest.raises(OperatorError, match=f"Gate {gate} failed"):
        world.promote("dev", "staging")
    assert "deploy staging" not in world.done


def test_smoke_tests_that_find_something_stop_it(world: World) -> None:
    world.wrong = {
        "dev": [
            Check("post", "GET /v1/posts", ok=False, status=500, seconds=0.1, detail="answered 500")
        ]
    }
    with pytest.raises(
        OperatorError, match="Smoke tests of dev got 1 wrong responses: GET /v1/posts answered 500"
    ):
        world.promote("dev", "staging")
    assert "deploy staging" not in world.done


def test_a_gate_is_passed_once_per_commit_and_smoke_tests_each_time(world: World) -> None:
    world.promote("dev", "staging")
    world.done.clear()
    world.promote("dev", "staging")
    assert world.done == ["smoke dev", "deploy staging", "smoke staging"]


def test_what_an_earlier_job_has_run_is_recorded_and_not_run_again(world: World) -> None:
    world.promote("dev", "staging", passed=["tests", "integration"])
    assert world.done == ["smoke dev", "deploy staging", "smoke staging"]
    assert world.ledgers["dev"].get("#gate", f"{COMMIT}/tests")["told"] is True  # type: ignore[index]


def test_promotion_does_not_connect_to_source_if_pipeline_passed_all_gates(world: World) -> None:
    result = world.promote("dev", "staging", passed=["tests", "integration", "smoke"])
    assert world.done == ["deploy staging", "smoke staging"]
    assert set(result["gates"]) == {"tests", "integration", "smoke"}
    world.checkout = Checkout(COMMIT, changed=True)
    with pytest.raises(OperatorError, match="uncommitted changes"):
        world.promote("dev", "staging", passed=["tests", "integration", "smoke"])
    assert world.connected == []


def test_prod_takes_an_approval_which_is_recorded(world: World) -> None:
    with pytest.raises(OperatorError, match="A promotion to prod needs an approval"):
        world.promote("staging", "prod")
    assert "deploy prod" not in world.done
    world.promote("staging", "prod", approved_by="bob")
    world.clock.now += 1
    world.promote("staging", "prod", approve=lambda _: "eve")
    assert [item["approved_by"] for item in world.ledgers["prod"].latest("#promotion")] == [
        "eve",
        "bob",
    ]
