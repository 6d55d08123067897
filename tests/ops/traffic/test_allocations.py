"""Tests traffic shifts of functions with provisioned concurrency.

Lambda completes such a shift minutes after the update of the alias.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.cloud import Cloud
from ops.errors import InterruptedRunError
from ops.functions.versions import Functions
from ops.traffic import allocations
from ops.traffic.allocations import AllocationError, Allocations
from ops.traffic.release import Settings
from tests.ops.traffic.releases import ALLOCATION_SECONDS
from tests.ops.traffic.world import AUTH, BAKE, FUNCTIONS, World

PROMOTE = Settings(promote=True)


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path) -> World:
    """Returns an environment with new code for auth. No service has probes, and auth has
    provisioned concurrency.
    """
    world = World(cloud, tmp_path, provisioned=5)
    world.checkout["auth"] = b"two"
    world.suites = {
        name: suite.model_copy(update={"requests": []}) for name, suite in world.suites.items()
    }
    return world


def alias(world: World) -> tuple[str, dict[str, float]]:
    response = world.lambda_.get_alias(FunctionName=AUTH, Name="live")
    weights = response.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return response["FunctionVersion"], weights


def interrupt_promotion(world: World) -> None:
    """Interrupts a release while Lambda still sends all traffic to the old version."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.clock.on_sleep = interrupt
    with pytest.raises(InterruptedRunError):
        world.release("auth", PROMOTE)
    world.clock.on_sleep = lambda: None
    assert alias(world) == ("2", {"1": 1.0})


def test_release_ends_when_lambda_has_allocated_the_concurrency(world: World) -> None:
    started = world.clock.now
    assert world.release("auth", BAKE) == [{"service": "auth", "from": "1", "to": "2"}]
    assert world.clock.now >= started + BAKE.bake + ALLOCATION_SECONDS
    assert alias(world) == ("2", {})
    assert world.lambda_.updates == [(AUTH, "1", {"2": 0.1}), (AUTH, "2", {})]
    assert world.auth_outcomes == ["promoted"]


def test_weights_that_lambda_sets_are_not_mistaken_for_an_interrupted_release(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_promotion(world)
    assert world.release("auth", PROMOTE) == []
    assert alias(world) == ("2", {})
    assert "interrupted release" not in capsys.readouterr().err
    assert world.lambda_.updates == [(AUTH, "2", {})]
    assert world.auth_outcomes == ["promoted"]


def test_version_is_rolled_back_if_lambda_cannot_allocate_concurrency(world: World) -> None:
    world.lambda_.broken = {"2"}
    with pytest.raises(AllocationError, match="for version 2: FUNCTION_ERROR_INIT_FAILURE"):
        world.release("auth", PROMOTE)
    assert alias(world) == ("1", {})
    assert world.auth_outcomes == ["rolled back"]


def test_version_is_rolled_back_if_allocation_takes_too_long(world: World) -> None:
    world.lambda_.allocation_seconds = allocations.TIMEOUT + 60
    with pytest.raises(AllocationError, match="of auth is not ready after 15 minutes"):
        world.release("auth", PROMOTE)
    assert world.lambda_.updates[-1] == (AUTH, "1", {})
    assert world.auth_outcomes == ["rolled back"]


def test_wait_includes_a_pending_allocation_of_an_alias_without_weights(world: World) -> None:
    """Lambda sets no weights during a function's first allocation, or after a rollback restored
    the provisioned concurrency.
    """
    started = world.clock.now
    world.lambda_.ready_at[AUTH] = started + ALLOCATION_SECONDS
    clock = world.clock
    Allocations(
        Functions(world.cloud, FUNCTIONS),
        world.cloud.environment,
        lambda: None,
        sleep=clock.sleep,
        clock=clock,
    ).wait(["auth"])
    assert alias(world) == ("1", {})
    assert clock.now >= started + ALLOCATION_SECONDS


def test_failed_allocation_of_a_killed_release_leaves_the_old_version_live(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_promotion(world)
    world.lambda_.broken = {"2"}
    world.checkout["auth"] = b"three"
    assert world.release("auth", PROMOTE) == [{"service": "auth", "from": "1", "to": "3"}]
    assert alias(world) == ("3", {})
    assert "Version 1, which has all the traffic, stays live" in capsys.readouterr().err


@pytest.mark.parametrize("during_promotion", [False, True])
def test_rollback_keeps_the_concurrency_and_does_not_wait_for_its_allocation(
    world: World, during_promotion: bool
) -> None:
    if during_promotion:
        interrupt_promotion(world)
    else:
        world.release("auth", PROMOTE)
    started = world.clock.now
    assert world.roll_back("auth") == [{"service": "auth", "from": "2", "to": "1"}]
    assert world.clock.now == started
    assert alias(world) == ("1", {})
    assert world.lambda_.provisioned == {AUTH: 5}


def test_a_rollback_records_that_a_killed_release_was_waiting_for_its_concurrency(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_promotion(world)
    world.ledger.finish(world.ledger.history("auth")[0], "running")
    assert world.roll_back("auth") == [{"service": "auth", "from": "2", "to": "1"}]
    [_, record] = world.ledger.history("auth")
    assert "when Lambda has allocated its provisioned concurrency" in (record.reason or "")
    assert "had received all traffic" not in capsys.readouterr().err


def test_concurrency_that_a_killed_rollback_removed_is_restored(world: World) -> None:
    world.release("auth", PROMOTE)
    world.roll_back("auth")
    world.ledger.finish(world.ledger.history("auth")[0], "running")
    del world.lambda_.provisioned[AUTH]
    world.roll_back("auth", "1")
    assert world.lambda_.provisioned == {AUTH: 5}
    assert world.auth_outcomes[0] == "promoted"


def test_release_does_not_read_provisioned_concurrency_if_none_is_configured(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(cloud, tmp_path)
    monkeypatch.delattr(type(world.lambda_), "get_provisioned_concurrency_config")
    assert world.release("health", BAKE)
    assert world.roll_back("health")
