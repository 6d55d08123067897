"""Rate limits, against an in-process DynamoDB."""

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


@pytest.fixture
def limiter(dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock) -> RateLimiter:
    return RateLimiter(dynamodb, table("limit_key"), enabled=True, clock=clock)


def test_an_attempt_stops_counting_when_it_leaves_the_window(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    for _ in range(3):
        limiter.reserve(LIMIT, "address", "email")
        clock.advance(10)
    with pytest.raises(Problem) as refused:
        limiter.reserve(LIMIT, "address", "email")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "30")
    clock.advance(30)
    limiter.reserve(LIMIT, "address", "email")  # only the first has left the window
    with pytest.raises(Problem):
        limiter.reserve(LIMIT, "address", "email")


def test_each_subject_and_limit_is_counted_separately(limiter: RateLimiter) -> None:
    subjects = [("a", "b"), ("ab", ""), ("a", "c"), ("d", "b")]
    for _ in range(3):
        for subject in subjects:
            limiter.reserve(LIMIT, *subject)
    limiter.reserve(Limit("other", 3, 60), "a", "b")


def test_released_attempts_do_not_count(limiter: RateLimiter) -> None:
    for _ in range(10):
        limiter.release(limiter.reserve(LIMIT, "a"))
    for _ in range(3):
        limiter.reserve(LIMIT, "a")


def test_concurrent_attempts_between_read_and_write_are_counted(
    limiter: RateLimiter, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    read = dynamodb.get_item
    concurrent: list[bool] = []

    def read_before_another_attempt(**arguments: Any) -> Any:
        found = read(**arguments)
        if len(concurrent) < 3:
            concurrent.append(True)
            limiter.reserve(LIMIT, "a")
        return found

    monkeypatch.setattr(dynamodb, "get_item", read_before_another_attempt)
    with pytest.raises(Problem) as refused:
        limiter.reserve(LIMIT, "a")
    assert refused.value.headers["Retry-After"] == "60"
    (item,) = dynamodb.scan(TableName="limit_key-table")["Items"]
    assert len(unpack(item)["attempts"]) == LIMIT.attempts


def test_a_disabled_limiter_admits_every_attempt(dynamodb: "DynamoDBClient") -> None:
    limiter = RateLimiter(dynamodb, "no-such-table", enabled=False)
    for _ in range(10):
        limiter.release(limiter.reserve(LIMIT, "a"))


def test_the_table_contains_no_address(limiter: RateLimiter, dynamodb: "DynamoDBClient") -> None:
    limiter.reserve(LIMIT, "203.0.113.7", "someone@example.com")
    (item,) = dynamodb.scan(TableName="limit_key-table")["Items"]
    assert "203.0.113.7" not in str(item)
    assert "someone" not in str(item)
    assert int(unpack(item)["expires_at"]) > NOW
