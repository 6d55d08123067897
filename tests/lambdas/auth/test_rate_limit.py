"""Tests rate limits, on moto."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lambdas.auth.rate_limit import Limit, RateLimiter
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import unpack
from tests.lambdas.support import NOW, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CreateTable = Callable[..., str]
LIMIT = Limit("login", 3, 60)


class Sleeper:
    """Advances the clock instead of sleeping. Calls `event` during the first pause."""

    def __init__(self, clock: FakeClock) -> None:
        self.event: Callable[[], None] | None = None
        self.pauses: list[float] = []
        self._clock = clock

    def __call__(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self.pauses.append(seconds)
        if self.event and len(self.pauses) == 1:
            self.event()


@pytest.fixture
def sleeper(clock: FakeClock) -> Sleeper:
    return Sleeper(clock)


@pytest.fixture
def limiter(
    dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock, sleeper: Sleeper
) -> RateLimiter:
    return RateLimiter(dynamodb, table("limit_key"), enabled=True, clock=clock, sleep=sleeper)


def test_an_attempt_stops_counting_when_it_leaves_the_window(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    for _ in range(3):
        limiter.count(LIMIT, "address", "email")
        clock.advance(10)
    with pytest.raises(Problem) as refused:
        limiter.count(LIMIT, "address", "email")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "30")
    clock.advance(30)
    limiter.count(LIMIT, "address", "email")  # only the first attempt has left the window
    with pytest.raises(Problem):
        limiter.count(LIMIT, "address", "email")


def test_each_subject_and_limit_is_counted_separately(limiter: RateLimiter) -> None:
    subjects = [("a", "b"), ("ab", ""), ("a", "c"), ("d", "b")]
    for _ in range(3):
        for subject in subjects:
            limiter.count(LIMIT, *subject)
    limiter.count(Limit("other", 3, 60), "a", "b")


def test_only_failed_attempts_count(limiter: RateLimiter) -> None:
    for _ in range(10):
        limiter.end(limiter.begin(LIMIT, "a"), failed=False)
    for _ in range(3):
        limiter.end(limiter.begin(LIMIT, "a"), failed=True)
    with pytest.raises(Problem) as refused:
        limiter.begin(LIMIT, "a")
    assert refused.value.status == 429


def test_an_attempt_counts_other_attempts_stored_between_its_read_and_its_write(
    limiter: RateLimiter, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    read = dynamodb.get_item
    concurrent: list[bool] = []

    def read_before_another_attempt(**arguments: Any) -> Any:
        response = read(**arguments)
        if len(concurrent) < 3:
            concurrent.append(True)
            limiter.count(LIMIT, "a")
        return response

    monkeypatch.setattr(dynamodb, "get_item", read_before_another_attempt)
    with pytest.raises(Problem) as refused:
        limiter.count(LIMIT, "a")
    assert refused.value.headers["Retry-After"] == "60"
    (item,) = dynamodb.scan(TableName="limit_key-table")["Items"]
    assert len(unpack(item)["attempts"]) == LIMIT.attempts


@pytest.mark.parametrize("failed", [False, True])
def test_an_attempt_waits_for_the_outcomes_of_running_attempts(
    limiter: RateLimiter, sleeper: Sleeper, failed: bool
) -> None:
    running = [limiter.begin(LIMIT, "a") for _ in range(LIMIT.attempts)]

    def finish() -> None:
        for attempt in running:
            limiter.end(attempt, failed=failed)

    sleeper.event = finish
    if failed:
        with pytest.raises(Problem) as refused:
            limiter.begin(LIMIT, "a")
        assert refused.value.status == 429
    else:
        limiter.end(limiter.begin(LIMIT, "a"), failed=False)
    assert len(sleeper.pauses) == 1


def test_an_attempt_waits_only_a_limited_time_for_running_attempts(
    limiter: RateLimiter, sleeper: Sleeper, clock: FakeClock
) -> None:
    for _ in range(LIMIT.attempts):
        limiter.begin(LIMIT, "a")  # this attempt never ends
    with pytest.raises(Problem) as refused:
        limiter.begin(LIMIT, "a")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")
    assert 9 < sum(sleeper.pauses) < 12
    clock.advance(35)
    # The leases of the attempts that never ended have expired, so those attempts do not count.
    limiter.begin(LIMIT, "a")


def test_attempts_with_a_future_timestamp_do_not_count(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    for _ in range(LIMIT.attempts):
        limiter.count(LIMIT, "failed")
        limiter.begin(LIMIT, "running")
    clock.advance(-3600)
    limiter.begin(LIMIT, "failed")
    limiter.begin(LIMIT, "running")


def test_a_disabled_limiter_admits_every_attempt(dynamodb: "DynamoDBClient") -> None:
    limiter = RateLimiter(dynamodb, "no-such-table", enabled=False)
    for _ in range(10):
        limiter.count(LIMIT, "a")
        limiter.end(limiter.begin(LIMIT, "a"), failed=True)


def test_the_table_contains_no_plain_ip_or_email_address(
    limiter: RateLimiter, dynamodb: "DynamoDBClient"
) -> None:
    limiter.count(LIMIT, "203.0.113.7", "someone@example.com")
    (item,) = dynamodb.scan(TableName="limit_key-table")["Items"]
    assert "203.0.113.7" not in str(item)
    assert "someone" not in str(item)
    assert int(unpack(item)["expires_at"]) > NOW
