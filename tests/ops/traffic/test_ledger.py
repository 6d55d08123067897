"""Tests the release ledger and the environment's lock."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import boto3
import pytest

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.traffic.ledger import LEASE, LOCK_KEY, Ledger, LockLostError, Record
from tests.ops.traffic.releases import TABLE, FakeClock, make_ledger


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(cloud: Cloud, clock: FakeClock) -> Ledger:
    return make_ledger(cloud, clock)


RECORD = Record(
    "auth", "2027-01-15T08:00:00.000000Z", "r1", "release", "1", "2", "sha", "ann", "abc"
)


def test_history_returns_the_newest_record_first(ledger: Ledger) -> None:
    later = replace(
        RECORD, released_at="2027-01-15T09:00:00.000000Z", from_version="2", to_version="3"
    )
    ledger.begin([RECORD, later])
    ledger.finish(RECORD, "rolled back", "slow")
    first, second = ledger.history("auth")
    assert (first, first.outcome) == (later, "running")
    assert (second.outcome, second.reason) == ("rolled back", "slow")
    assert second.finished_at == "2027-01-15T08:00:00.000000Z"
    assert ledger.history("chat") == []


def test_second_command_is_rejected_with_the_holder_of_the_lock(ledger: Ledger) -> None:
    with (
        ledger.locked("release of auth", "ann"),
        pytest.raises(OperatorError, match="dev is being changed: release of auth by ann"),
        ledger.locked("deploy", "bob"),
    ):
        pass
    with ledger.locked("deploy", "bob"):
        pass


def test_lock_of_a_local_process_that_ended_is_taken_over(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    held = ledger.locked("release of auth", "ann")
    held.__enter__()
    boto3.client("dynamodb", region_name="us-east-1").update_item(
        TableName=TABLE,
        Key=LOCK_KEY,
        UpdateExpression="SET pid = :pid",
        ExpressionAttributeValues={":pid": {"N": str(dead.pid)}},
    )
    with ledger.locked("deploy", "bob") as lock:
        lock.check()
    assert (
        "Took over the lock from a command that was killed: release of auth by ann"
        in capsys.readouterr().err
    )


def test_lock_expires_after_its_lease(ledger: Ledger, clock: FakeClock) -> None:
    first = ledger.locked("deploy", "ann")
    expired = first.__enter__()
    clock.now += LEASE + 1
    with ledger.locked("deploy", "bob"), pytest.raises(LockLostError):
        expired.check()


def test_checking_the_lock_extends_its_lease(ledger: Ledger, clock: FakeClock) -> None:
    with ledger.locked("deploy", "ann") as lock:
        clock.now += LEASE - 1
        lock.check()
        clock.now += LEASE - 1
        with pytest.raises(OperatorError, match="deploy by ann"), ledger.locked("deploy", "bob"):
            pass


def test_a_forced_command_takes_the_lock_and_stops_its_holder(ledger: Ledger) -> None:
    with (
        ledger.locked("release of auth", "ann") as first,
        ledger.locked("rollback of auth", "bob", force=True),
    ):
        with pytest.raises(LockLostError):
            first.check()
        first.finished.set()
    # The first holder has lost the lock, so it must not delete the lock of the second holder.
    with ledger.locked("deploy", "eve"):
        pass


def test_lock_has_no_effect_before_the_first_apply(cloud: Cloud, clock: FakeClock) -> None:
    with Ledger(cloud, clock).locked("deploy", "ann") as lock:
        lock.check()
        assert not lock.held
