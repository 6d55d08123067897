"""Releases and rollbacks: what is moved when, and what is put back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops.cloud import Cloud
from ops.errors import InterruptedRunError, OperatorError
from ops.smoke import load_suites
from ops.smoke.person import People
from ops.traffic import release as module
from ops.traffic.bake import Figures, judge
from ops.traffic.ledger import Ledger, Record
from ops.traffic.prune import delete_old_versions
from ops.traffic.release import RolledBackError, Settings, release_service, roll_back_service
from tests.ops.traffic.releases import (
    FakeClock,
    FakeLambda,
    FakeTopic,
    FakeWatch,
    digest,
    make_ledger,
    zip_of,
)

FUNCTIONS = {name: f"{name}-lambda-dev" for name in ("auth", "health", "migration")}
OUTPUTS = {
    "functions": FUNCTIONS,
    "log_groups": {name: f"/aws/lambda/{function}" for name, function in FUNCTIONS.items()},
    "cognito_user_pool_id": "pool",
    "alerts_topic_arn": "arn:topic",
}
AUTH, HEALTH = FUNCTIONS["auth"], FUNCTIONS["health"]
BAKE = Settings(weight=10, bake=60, interval=10)


class World:
    """An environment with two services: the checkout has new code for the health function."""

    def __init__(self, cloud: Cloud, ledger: Ledger, clock: FakeClock, directory: Path) -> None:
        self.cloud, self.ledger, self.clock, self.directory = cloud, ledger, clock, directory
        self.lambda_ = FakeLambda({name: {"1": b"one"} for name in FUNCTIONS.values()})
        self.watch, self.topic = FakeWatch(), FakeTopic()
        self.checkout = {"auth": b"one", "health": b"two", "migration": b"one"}

    def package(self, _cloud: Cloud, services: list[str]) -> dict[str, Path]:
        return {name: zip_of(self.directory, self.checkout[name]) for name in services}

    def release(self, service: str = "health", settings: Settings = BAKE) -> list[dict[str, Any]]:
        self.clock.now += 1
        return release_service(self.cloud, service, settings)

    @property
    def record(self) -> Record:
        return self.ledger.history("health")[0]


@pytest.fixture
def world(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    clock = FakeClock()
    world = World(cloud, make_ledger(cloud, clock), clock, tmp_path)
    clients = {
        "lambda": world.lambda_,
        "cloudwatch": world.watch,
        "logs": world.watch,
        "sns": world.topic,
    }
    made = Cloud.client
    monkeypatch.setattr(
        Cloud, "client", lambda self, name, *a, **k: clients.get(name) or made(self, name, *a, **k)
    )
    monkeypatch.setattr(module, "outputs", lambda _: OUTPUTS)
    monkeypatch.setattr("ops.traffic.prune.outputs", lambda _: OUTPUTS)
    monkeypatch.setattr(module, "refuse_locked_state", lambda _: None)
    monkeypatch.setattr(module, "package", world.package)
    monkeypatch.setattr(module, "Ledger", lambda _: world.ledger)
    monkeypatch.setattr("ops.traffic.prune.Ledger", lambda _: world.ledger)
    real = module.Releaser
    monkeypatch.setattr(
        module, "Releaser", lambda *a, **k: real(*a, **k, sleep=clock.sleep, clock=clock)
    )

    @contextmanager
    def nobody(*_: object) -> Iterator[People]:
        yield People("t.e30.s", "t.e30.s", {})

    monkeypatch.setattr(module, "people", nobody)
    return world


def test_a_release_shifts_a_share_watches_and_promotes(world: World) -> None:
    assert world.release() == [{"service": "health", "from": "1", "to": "2"}]
    assert world.lambda_.updates == [(HEALTH, "1", {"2": 0.1}), (HEALTH, "2", {})]
    assert world.clock.now >= 1_800_000_061
    record = world.record
    assert (record.from_version, record.to_version, record.outcome) == ("1", "2", "promoted")
    assert record.artifact == digest(b"two")
    assert record.who
    assert world.topic.subjects == ["dev: release health started", "dev: release health succeeded"]
    assert "health 1 to 2" in world.topic.told[0]["Message"]


def test_the_new_version_is_probed_before_any_user_reaches_it(world: World) -> None:
    asked: list[tuple[str, str]] = []

    def answers(function: str, qualifier: str, event: Any) -> Any:
        asked.append((qualifier, event["path"]))
        return {"statusCode": 500, "body": "{}"}

    world.lambda_.answers = answers
    with pytest.raises(
        OperatorError,
        match="it has received no user traffic: GET /health returned 500, expected 200",
    ):
        world.release()
    assert asked == [("2", "/health")]
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
def test_a_bad_version_is_put_back_with_the_reason(
    world: World, values: dict[str, float], reason: str
) -> None:
    world.watch.values = values
    with pytest.raises(RolledBackError, match=reason):
        world.release()
    assert world.lambda_.updates == [(HEALTH, "1", {"2": 0.1}), (HEALTH, "1", {})]
    assert world.record.outcome == "put back"
    assert reason in world.record.reason
    assert world.topic.subjects[-1] == "dev: release health rolled back"


def test_answers_of_5xx_in_the_versions_own_log_put_it_back(world: World) -> None:
    day = "2027/01/15"
    world.watch.lines = [
        {"logStreamName": f"{day}/[1]a", "message": json.dumps({"status": 500})},
        {"logStreamName": f"{day}/[2]b", "message": json.dumps({"status": 200})},
        {"logStreamName": f"{day}/[2]b", "message": json.dumps({"status": 404})},
        {"logStreamName": f"{day}/[2]b", "message": "no JSON"},
    ]
    assert world.release()
    world.checkout["health"] = b"three"
    world.watch.lines.append(
        {"logStreamName": f"{day}/[3]c", "message": json.dumps({"status": 503})}
    )
    with pytest.raises(RolledBackError, match="1 5xx responses"):
        world.release()


def test_an_alarm_that_begins_to_fire_puts_it_back_and_one_that_fired_before_does_not(
    world: World,
) -> None:
    world.watch.firing = ["health-errors-alarm-dev"]
    assert world.release()
    world.checkout["health"] = b"three"
    world.clock.on_sleep = lambda: world.watch.firing.append("health-duration-alarm-dev")
    with pytest.raises(RolledBackError, match="alarm health-duration-alarm-dev is in state ALARM"):
        world.release()


def test_metrics_are_of_the_new_version_alone_where_aws_tells_them_apart(world: World) -> None:
    world.release()
    assert world.watch.asked[-1] == {
        "FunctionName": HEALTH,
        "Resource": f"{HEALTH}:live",
        "ExecutedVersion": "2",
    }


@pytest.mark.parametrize(
    ("figures", "before", "bad"),
    [
        (Figures(1000, 9, 0, 100), 100, False),  # below one in a hundred
        (Figures(1000, 6, 6, 100), 100, True),
        (Figures(4, 1, 0, 100), 100, True),
        (Figures(100, 0, 0, 1900), 100, False),  # below the floor, which first requests may take
        (Figures(100, 0, 0, 5000), 3000, False),  # not twice as slow
        (Figures(100, 0, 0, 6100), 3000, True),
        (Figures(0, 0, 0, 0), 0, False),
    ],
)
def test_what_counts_as_bad(figures: Figures, before: float, bad: bool) -> None:
    assert bool(judge("auth", figures, before)) is bad


def test_promote_moves_all_at_once_after_the_probes(world: World) -> None:
    world.release(settings=Settings(promote=True))
    assert world.lambda_.updates == [(HEALTH, "2", {})]


def test_what_serves_already_is_not_released_again(world: World) -> None:
    assert world.release("auth") == []
    assert world.release("all") == [{"service": "health", "from": "1", "to": "2"}]
    assert world.release("all") == []
    assert len(world.lambda_.code[HEALTH]) == 2


def test_all_are_released_together_or_none(world: World) -> None:
    world.checkout["auth"] = b"two"
    suites = {
        "health": load_suites()["health"],
        "auth": load_suites()["auth"].model_copy(update={"requests": []}),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_suites", lambda: suites)
        world.watch.values = {"errors": 1, "invocations": 1}
        with pytest.raises(RolledBackError):
            world.release("all")
    assert [name for name, _, _ in world.lambda_.updates] == [AUTH, HEALTH, AUTH, HEALTH]
    assert world.lambda_.updates[2:] == [(AUTH, "1", {}), (HEALTH, "1", {})]
    assert world.ledger.history("auth")[0].release_id == world.record.release_id


def test_ctrl_c_puts_traffic_back(world: World) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.clock.on_sleep = interrupt
    with pytest.raises(InterruptedRunError, match="all their traffic on the old"):
        world.release()
    assert world.lambda_.updates[-1] == (HEALTH, "1", {})
    assert world.record.reason == "stopped by the operator"


def killed_in_the_bake(world: World) -> None:
    """Leaves what a release leaves that is killed while it watches: weights, and an open record."""
    records: list[Record] = []
    begin = world.ledger.begin

    def remember(found: list[Record]) -> None:
        records.extend(found)
        begin(found)

    def die() -> None:
        raise SystemError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.ledger, "begin", remember)
        world.clock.on_sleep = die
        with pytest.raises(SystemError):
            world.release()
    # Unlike a kill, an error lets the release clean up: what it had begun is brought back.
    begin(records)
    world.lambda_.aliases[HEALTH]["weights"] = {"2": 0.1}
    world.clock.on_sleep = lambda: None


def test_what_a_killed_release_left_is_settled_first(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_in_the_bake(world)
    world.lambda_.updates.clear()
    assert world.release() == [{"service": "health", "from": "1", "to": "2"}]
    assert world.lambda_.updates == [
        (HEALTH, "1", {}),
        (HEALTH, "1", {"2": 0.1}),
        (HEALTH, "2", {}),
    ]
    said = capsys.readouterr().err
    assert (
        "An interrupted release of health left 10% of the traffic on version 2: all traffic is on version 1 again"
        in said
    )
    assert [record.outcome for record in world.ledger.history("health")] == [
        "promoted",
        "abandoned",
    ]


def test_a_release_that_was_killed_after_the_move_counts(world: World) -> None:
    world.release()
    record = world.record
    world.ledger.finish(record, "running")
    assert world.release() == []
    assert world.record.outcome == "promoted"


def test_somebody_elses_move_counts_and_stops_the_release(world: World) -> None:
    def move() -> None:
        world.lambda_.aliases[HEALTH] = {"version": "1", "weights": {}, "revision": 99}

    world.clock.on_sleep = move
    with pytest.raises(OperatorError, match="Another process changed the traffic of health"):
        world.release()
    assert world.lambda_.aliases[HEALTH]["revision"] == 99


def test_a_release_whose_lock_was_taken_changes_nothing_more(world: World) -> None:
    def take() -> None:
        world.clock.on_sleep = lambda: None
        roll_back_service(world.cloud, "health", "1", force=True)

    world.clock.on_sleep = take
    with pytest.raises(OperatorError, match="taken over the lock"):
        world.release()
    assert world.lambda_.aliases[HEALTH]["weights"] == {}
    assert world.lambda_.aliases[HEALTH]["version"] == "1"


def test_migrations_are_not_released_by_themselves(world: World) -> None:
    with pytest.raises(OperatorError, match="`ops deploy` updates and"):
        world.release("migration")
    with pytest.raises(
        OperatorError, match="no service nonsense: use auth, health, migration or all"
    ):
        world.release("nonsense")


def test_a_rollback_goes_to_what_served_before_and_further_back_each_time(world: World) -> None:
    world.release()
    world.checkout["health"] = b"three"
    world.release()
    world.lambda_.updates.clear()
    assert roll_back_service(world.cloud, "health") == [
        {"service": "health", "from": "3", "to": "2"}
    ]
    assert roll_back_service(world.cloud, "health") == [
        {"service": "health", "from": "2", "to": "1"}
    ]
    assert world.lambda_.updates == [(HEALTH, "2", {}), (HEALTH, "1", {})]
    assert world.topic.subjects[-1] == "dev: health rolled back"
    with pytest.raises(OperatorError, match="no version of health before version 1"):
        roll_back_service(world.cloud, "health")


def test_a_rollback_of_all_is_of_what_the_last_release_moved(world: World) -> None:
    world.release("health", Settings(promote=True))
    assert roll_back_service(world.cloud, "all") == [{"service": "health", "from": "2", "to": "1"}]


def test_an_unknown_or_deleted_version_is_refused(world: World) -> None:
    world.release()
    for number in ("9", "$LATEST", "live"):
        with pytest.raises(OperatorError, match=r"Existing versions: 1, 2$"):
            roll_back_service(world.cloud, "health", number)
    del world.lambda_.code[HEALTH]["1"]
    with pytest.raises(
        OperatorError, match="health has no version 1: it was never published or has been deleted"
    ):
        roll_back_service(world.cloud, "health")
    assert world.lambda_.aliases[HEALTH]["version"] == "2"


def test_prune_keeps_what_an_alias_names_and_what_a_rollback_would_go_to(world: World) -> None:
    for content in (b"two", b"three", b"four"):
        world.checkout["health"] = content
        world.release(settings=Settings(promote=True))
    roll_back_service(world.cloud, "health")
    assert world.lambda_.aliases[HEALTH]["version"] == "3"
    assert delete_old_versions(world.cloud, keep=1) == {"health": ["1"]}
    assert sorted(world.lambda_.code[HEALTH]) == ["2", "3", "4"]


def test_a_topic_that_cannot_be_told_stops_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    from botocore.exceptions import ClientError

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish")

    world.topic.publish = refuse  # type: ignore[method-assign]
    assert world.release()
    assert "Cannot publish to the alerts topic" in capsys.readouterr().err
