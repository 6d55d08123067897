"""Tests the header Idempotency-Key, on moto."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from lambdas.common.problems import Problem
from lambdas.common.web.http import AlreadyCreatedError, Creation, Request, Response
from lambdas.common.web.idempotency import LEASE_SECONDS, RETENTION, Idempotency
from tests.lambdas.support import FakeClock, caller, rest_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CreateTable = Callable[..., str]


class KilledError(BaseException):
    """Raised to simulate that the function's process is killed."""


class CountingOperation:
    """An operation that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None

    def __call__(self, request: Request) -> Response[Any]:
        if self.error:
            raise self.error
        self.runs += 1
        return Response(HTTPStatus.CREATED, {"number": self.runs}, {"ETag": '"1"'})


def post(
    body: object = None, key: str | None = "key-1", path: str = "/v1/posts", user: str = "user-1"
) -> Request:
    request = Request(
        rest_event(
            "POST",
            path,
            body or {"a": 1},
            headers={"Idempotency-Key": key} if key is not None else {},
        )
    )
    request.authenticated = caller("user")
    if user != "user-1":
        request.authenticated = caller("user").__class__.from_context(
            {**caller("user").to_context(), "sub": user}
        )
    return request


@pytest.fixture
def idempotency(dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock) -> Idempotency:
    return Idempotency(dynamodb, table("idempotency_key"), clock)


def expect_problem(
    idempotency: Idempotency, request: Request, operation: CountingOperation
) -> Problem:
    with pytest.raises(Problem) as refused:
        idempotency.run(request, operation)
    return refused.value


def test_a_repeated_request_returns_the_first_response_without_running_again(
    idempotency: Idempotency,
) -> None:
    operation = CountingOperation()
    first = idempotency.run(post({"a": 1, "b": 2}), operation).to_event()
    repeated = idempotency.run(post('{ "b": 2, "a": 1 }'), operation).to_event()
    assert operation.runs == 1
    assert repeated == first
    assert first["statusCode"] == 201


def test_the_key_is_scoped_to_caller_method_and_path(idempotency: Idempotency) -> None:
    operation = CountingOperation()
    for request in (
        post(),
        post(user="user-2"),
        post(path="/v1/posts/1/comments"),
        post(key="key-2"),
        post(key=None),
        post(key=None),
    ):
        idempotency.run(request, operation)
    assert operation.runs == 6


def test_a_key_with_another_body_returns_409_until_it_expires(
    idempotency: Idempotency, clock: FakeClock
) -> None:
    operation = CountingOperation()
    idempotency.run(post(), operation)
    clock.advance(RETENTION - 1)
    assert expect_problem(idempotency, post({"a": 2}), operation).code == "idempotency_key_reused"
    clock.advance(1)
    assert idempotency.run(post({"a": 2}), operation).body == {"number": 2}


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_invalid_keys_return_400(idempotency: Idempotency, key: str) -> None:
    assert expect_problem(idempotency, post(key=key), CountingOperation()).status == 400


def test_repeating_a_running_request_returns_409_until_its_lease_expires(
    idempotency: Idempotency, clock: FakeClock
) -> None:
    operation = CountingOperation()

    def overlapping(request: Request) -> Response[Any]:
        assert expect_problem(idempotency, post(), operation).code == "request_in_progress"
        clock.advance(LEASE_SECONDS)  # the first attempt takes longer than its lease
        assert idempotency.run(post(), operation).body == {"number": 1}
        return Response(body={"number": "late"})

    idempotency.run(post(), overlapping)
    # The late response of the first attempt does not replace the stored response of the second one.
    assert idempotency.run(post(), operation).body == {"number": 1}


def test_after_a_4xx_response_the_key_can_be_used_again(idempotency: Idempotency) -> None:
    operation = CountingOperation()
    operation.error = Problem.invalid([])
    with pytest.raises(Problem):
        idempotency.run(post(), operation)
    operation.error = None
    assert idempotency.run(post({"corrected": True}), operation).status == 201


@pytest.mark.parametrize("error", [Problem.unavailable(), RuntimeError("x")])
def test_a_retry_after_a_failed_attempt_creates_the_same_resource(
    idempotency: Idempotency, error: Exception
) -> None:
    """The failed attempt may have created the resource, for example if the response of DynamoDB was
    lost.
    """
    operation = CountingOperation()
    operation.error = error
    first, second = post(), post()
    with pytest.raises(type(error)):
        idempotency.run(first, operation)
    operation.error = None
    assert expect_problem(idempotency, post({"a": 2}), operation).code == "idempotency_key_reused"
    assert idempotency.run(second, operation).status == 201
    assert second.creation == structs.replace(first.creation, may_exist=True)


@pytest.mark.parametrize(
    "later",
    [LEASE_SECONDS, -3600],
    ids=["lease expired", "clock of the crashed attempt was an hour ahead"],
)
def test_a_retry_after_a_crashed_attempt_creates_the_same_resource(
    idempotency: Idempotency, clock: FakeClock, later: int
) -> None:
    created: list[Creation] = []

    def crash(request: Request) -> Response[Any]:
        created.append(request.creation)
        raise KilledError

    def end_lease(*_: object) -> None:
        """Does nothing, as if the function was killed before it could end its lease."""

    first, second = post(), post()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idempotency, "_end_lease", end_lease)
        with pytest.raises(KilledError):
            idempotency.run(first, crash)
    assert expect_problem(idempotency, post(), CountingOperation()).code == "request_in_progress"
    clock.advance(later)
    idempotency.run(second, CountingOperation())
    assert [second.creation] == [structs.replace(created[0], may_exist=True)]
    clock.advance(RETENTION - min(later, 0))
    third = post()
    idempotency.run(third, CountingOperation())
    assert not third.creation.may_exist
    assert third.creation.id != first.creation.id


def test_a_resource_that_an_earlier_attempt_created_is_returned() -> None:
    def find(id_: str) -> str:
        if id_ == "missing":
            raise Problem.not_found("The resource does not exist")
        return f"found {id_}"

    def create(id_: str) -> str:
        return f"created {id_}"

    assert Creation("1").find_or_create(find, create) == "created 1"
    assert Creation("1", may_exist=True).find_or_create(find, create) == "found 1"
    assert Creation("missing", may_exist=True).find_or_create(find, create) == "created missing"


@pytest.mark.parametrize("may_exist", [False, True])
def test_find_or_create_returns_a_resource_that_a_concurrent_attempt_created(
    may_exist: bool,
) -> None:
    created: list[str] = []

    def find(id_: str) -> str:
        if not created:
            raise Problem.not_found("The resource does not exist")
        return created[0]

    def create(id_: str) -> str:
        created.append(f"created {id_}")
        raise AlreadyCreatedError

    assert Creation("1", may_exist=may_exist).find_or_create(find, create) == "created 1"


def test_a_request_runs_even_if_the_response_of_dynamodb_was_lost(
    idempotency: Idempotency, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = idempotency._table.put

    def put_twice(*arguments: Any, **options: Any) -> None:
        """Writes twice, as botocore does if a response was lost.

        The condition of the second write fails.
        """
        put(*arguments, **options)
        put(*arguments, **options)

    monkeypatch.setattr(idempotency._table, "put", put_twice)
    operation, request = CountingOperation(), post()
    assert idempotency.run(request, operation).status == 201
    assert not request.creation.may_exist
    assert idempotency.run(post(), operation).body == {"number": 1}
