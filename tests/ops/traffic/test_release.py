"""Tests releases and rollbacks: the order of traffic shifts, and when a release is rolled back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.errors import InterruptedRunError, OperatorError
from ops.traffic.bake import Figures, judge
from ops.traffic.prune import delete_old_versions
from ops.traffic.release import RolledBackError, Settings
from tests.ops.traffic.releases import digest
from tests.ops.traffic.world import AUTH, HEALTH, World


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path) -> World:
    return World(cloud, tmp_path)


def test_release_shifts_the_canary_weight_then_bakes_then_promotes(world: World) -> None:
    assert world.release() == [{"service": "health", "from": "1", "to": "2"}]
    assert world.lambda_.updates == [(HEALTH, "1", {"2": 0.1}), (HEALTH, "2", {})]
    assert world.clock.now >= 1_800_000_060
    record = world.record
    assert (record.from_version, record.to_version, record.outcome) == ("1", "2", "promoted")
    assert record.artifact == digest(b"two")
    assert record.who
    assert world.topic.subjects == ["dev: release health started", "dev: release health succeeded"]
    assert "health 1 to 2" in world.topic.messages[0]["Message"]


def test_new_version_is_probed_before_it_receives_user_traffic(world: World) -> None:
    requests: list[tuple[str, str]] = []

    def respond(function: str, qualifier: str, event: Any) -> Any:
        requests.append((qualifier, event["path"]))
        return {"statusCode": 500, "body": "{}"}

    world.lambda_.respond = respond
    with pytest.raises(
        OperatorError,
        match="it failed its smoke tests: GET /health returned 500, expected 200",
    ):
        world.release()
    assert requests == [("2", "/health")]
    assert world.lambda_.updates == []
    assert (world.record.outcome, world.topic.subjects[-1]) == (
        "failed",
        "dev: release health failed",
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"errors": 3, "invocations": 40}, "health has 3 failed invocations in 40"),
        (
            {"duration": 5000.0, "invocations": 40},
            "health is slow: its p99 is 5000 ms, the old version's is 0 ms",
        ),
    ],
)
def test_bad_version_is_rolled_back_and_the_reason_is_recorded(
    world: World, values: dict[str, float], reason: str
) -> None:
    world.watch.values = values
    with pytest.raises(RolledBackError, match=reason):
        world.release()
    assert world.lambda_.updates == [(HEALTH, "1", {"2": 0.1}), (HEALTH, "1", {})]
    assert world.record.outcome == "rolled back"
    assert reason in world.record.reason
    assert world.topic.subjects[-1] == "dev: release health rolled back"


@pytest.mark.parametrize("function", ["", HEALTH], ids=["default group", "named group"])
def test_5xx_responses_in_the_log_of_the_version_cause_a_rollback(
    world: World, function: str
) -> None:
    day = f"2027/01/15/{function}"
    world.watch.lines = [
        {"logStreamName": f"{day}[1]a", "message": json.dumps({"status": 500})},
        {"logStreamName": f"{day}[2]b", "message": json.dumps({"status": 200})},
        {"logStreamName": f"{day}[2]b", "message": json.dumps({"status": 404})},
        {"logStreamName": f"{day}[2]b", "message": "no JSON"},
    ]
    assert world.release()
    world.checkout["health"] = b"three"
    world.watch.lines.append(
        {"logStreamName": f"{day}[3]c", "message": json.dumps({"status": 503})}
    )
    with pytest.raises(RolledBackError, match="1 5xx responses"):
        world.release()


def test_only_alarms_that_start_during_the_bake_period_cause_a_rollback(
    world: World,
) -> None:
    world.watch.firing = ["health-errors-alarm-dev"]
    assert world.release()
    world.checkout["health"] = b"three"
    world.clock.on_sleep = lambda: world.watch.firing.append("health-duration-alarm-dev")
    with pytest.raises(RolledBackError, match="alarm health-duration-alarm-dev is in state ALARM"):
        world.release()


def test_metrics_are_read_for_the_new_version_only(world: World) -> None:
    world.release()
    assert world.watch.dimensions[-1] == {
        "FunctionName": HEALTH,
        "Resource": f"{HEALTH}:live",
        "ExecutedVersion": "2",
    }


@pytest.mark.parametrize(
    ("figures", "before", "bad"),
    [
        (Figures(1000, 9, 0, 100), 100, False),  # fewer than 1 % of the requests failed
        (Figures(1000, 6, 6, 100), 100, True),
        (Figures(4, 1, 0, 100), 100, True),
        (Figures(100, 0, 0, 1900), 100, False),  # the latency is below MINIMUM_SLOW_P99
        (Figures(100, 0, 0, 5000), 3000, False),  # the latency is less than twice the old version's
        (Figures(100, 0, 0, 6100), 3000, True),
        (Figures(0, 0, 0, 0), 0, False),
    ],
)
def test_a_version_above_the_limits_for_errors_or_latency_is_bad(
    figures: Figures, before: float, bad: bool
) -> None:
    assert bool(judge("auth", figures, before)) is bad


def test_promote_shifts_all_traffic_in_one_step_after_the_probes(world: World) -> None:
    world.release(settings=Settings(promote=True))
    assert world.lambda_.updates == [(HEALTH, "2", {})]


def test_live_code_is_not_released_again(world: World) -> None:
    assert world.release("auth") == []
    assert world.release("all") == [{"service": "health", "from": "1", "to": "2"}]
    assert world.release("all") == []
    assert len(world.lambda_.code[HEALTH]) == 2


def test_one_bad_version_rolls_back_all_services_of_the_release(world: World) -> None:
    world.checkout["auth"] = b"two"
    health, auth = world.suites["health"], world.suites["auth"]
    world.suites = {"health": health, "auth": auth.model_copy(update={"requests": []})}
    world.watch.values = {"errors": 1, "invocations": 1}
    with pytest.raises(RolledBackError):
        world.release("all")
    assert [name for name, _, _ in world.lambda_.updates] == [AUTH, HEALTH, AUTH, HEALTH]
    assert world.lambda_.updates[2:] == [(AUTH, "1", {}), (HEALTH, "1", {})]
    assert world.ledger.history("auth")[0].release_id == world.record.release_id


def test_ctrl_c_rolls_the_release_back(world: World) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.clock.on_sleep = interrupt
    with pytest.raises(InterruptedRunError, match="all their traffic on the old"):
        world.release()
    assert world.lambda_.updates[-1] == (HEALTH, "1", {})
    assert world.record.reason == "stopped by the operator"


def leave_killed_release(world: World) -> None:
    """Leaves the weights and the open record of a release that was killed in its bake period."""

    def fail() -> None:
        raise SystemError

    world.clock.on_sleep = fail
    with pytest.raises(SystemError):
        world.release()
    # The error made the release roll back. A kill would not, so the test undoes the rollback.
    world.ledger.finish(world.record, "running")
    world.lambda_.aliases[HEALTH]["weights"] = {"2": 0.1}
    world.clock.on_sleep = lambda: None


def test_release_first_repairs_traffic_and_records_of_a_killed_release(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_killed_release(world)
    world.lambda_.updates.clear()
    assert world.release() == [{"service": "health", "from": "1", "to": "2"}]
    assert world.lambda_.updates == [
        (HEALTH, "1", {}),
        (HEALTH, "1", {"2": 0.1}),
        (HEALTH, "2", {}),
    ]
    assert (
        "An interrupted release of health left 10% of the traffic on version 2:"
        " all traffic is on version 1 again"
    ) in capsys.readouterr().err
    assert [record.outcome for record in world.ledger.history("health")] == [
        "promoted",
        "abandoned",
    ]


def test_release_killed_after_its_last_shift_is_recorded_as_promoted(world: World) -> None:
    world.release()
    record = world.record
    world.ledger.finish(record, "running")
    assert world.release() == []
    assert world.record.outcome == "promoted"


def test_release_stops_if_another_process_changes_the_alias(world: World) -> None:
    def change_alias() -> None:
        world.lambda_.aliases[HEALTH] = {"version": "1", "weights": {}, "revision": 99}

    world.clock.on_sleep = change_alias
    with pytest.raises(
        OperatorError, match="traffic of health was not changed, because another process"
    ):
        world.release()
    assert world.lambda_.aliases[HEALTH]["revision"] == 99


def test_release_changes_nothing_after_it_lost_the_lock(world: World) -> None:
    def take_lock() -> None:
        world.clock.on_sleep = lambda: None
        world.roll_back("health", "1", force=True)

    world.clock.on_sleep = take_lock
    with pytest.raises(OperatorError, match="another command took over the lock"):
        world.release()
    assert world.lambda_.aliases[HEALTH]["weights"] == {}
    assert world.lambda_.aliases[HEALTH]["version"] == "1"


def test_migration_function_and_unknown_services_are_rejected(world: World) -> None:
    with pytest.raises(OperatorError, match="`ops deploy` updates and"):
        world.release("migration")
    with pytest.raises(
        OperatorError, match="no service nonsense: use auth, health, migration or all"
    ):
        world.release("nonsense")


def test_each_rollback_restores_the_next_older_version(world: World) -> None:
    world.release()
    world.checkout["health"] = b"three"
    world.release()
    world.lambda_.updates.clear()
    assert world.roll_back("health") == [{"service": "health", "from": "3", "to": "2"}]
    assert world.roll_back("health") == [{"service": "health", "from": "2", "to": "1"}]
    assert world.lambda_.updates == [(HEALTH, "2", {}), (HEALTH, "1", {})]
    assert world.topic.subjects[-1] == "dev: health rolled back"
    with pytest.raises(OperatorError, match="no version of health before version 1"):
        world.roll_back("health")


def test_rollback_of_all_affects_the_services_of_the_last_release(world: World) -> None:
    world.release("health", Settings(promote=True))
    assert world.roll_back("all") == [{"service": "health", "from": "2", "to": "1"}]


def test_rollback_to_an_unknown_or_deleted_version_is_rejected(world: World) -> None:
    world.release()
    for number in ("9", "$LATEST", "live"):
        with pytest.raises(OperatorError, match=r"Existing versions: 1, 2$"):
            world.roll_back("health", number)
    del world.lambda_.code[HEALTH]["1"]
    with pytest.raises(
        OperatorError, match="health has no version 1: it was never published or has been deleted"
    ):
        world.roll_back("health")
    assert world.lambda_.aliases[HEALTH]["version"] == "2"


def test_prune_keeps_aliased_versions_and_the_target_of_a_rollback(world: World) -> None:
    for content in (b"two", b"three", b"four"):
        world.checkout["health"] = content
        world.release(settings=Settings(promote=True))
    world.roll_back("health")
    assert world.lambda_.aliases[HEALTH]["version"] == "3"
    assert delete_old_versions(world.cloud, 1, world.releaser) == {"health": ["1"]}
    assert sorted(world.lambda_.code[HEALTH]) == ["2", "3", "4"]


def test_release_continues_if_the_notification_fails(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish")

    world.topic.publish = refuse  # type: ignore[method-assign]
    assert world.release()
    assert "Cannot publish to the alerts topic" in capsys.readouterr().err
