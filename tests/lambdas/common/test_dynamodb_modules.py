"""What keeps its state in a table: sessions, idempotency, rate limits and tickets, against an in-process DynamoDB."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from lambdas.auth.rate_limit import Limit, RateLimiter
from lambdas.common.problems import Problem
from lambdas.common.signing.tickets import LIFETIME, TicketStore
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.common.web.http import Request, Response
from lambdas.common.web.idempotency import LEASE, RETENTION, Idempotency
from lambdas.common.web.sessions import ActiveSession, SessionReader
from tests.lambdas.support import NOW, FakeClock, caller, rest_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CreateTable = Callable[..., str]
LIMIT = Limit("login", 3, 60)


# --- sessions ---


@pytest.mark.parametrize(
    ("session_id", "user_id", "expires_at", "active"),
    [
        ("s", "u", NOW + 1, True),
        ("s", "u", NOW, False),
        ("s", "other", NOW + 1, False),
        ("unknown", "u", NOW + 1, False),
    ],
)
def test_active_sessions(
    dynamodb: "DynamoDBClient",
    table: CreateTable,
    clock: FakeClock,
    session_id: str,
    user_id: str,
    expires_at: float,
    active: bool,
) -> None:
    name = table("session_id")
    dynamodb.put_item(
        TableName=name,
        Item=pack({"session_id": "s", "user_id": "u", "expires_at": int(expires_at)}),
    )
    assert (SessionReader(dynamodb, name, clock).find(session_id, user_id) is not None) is active


def test_the_session_tells_the_display_name(
    dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock
) -> None:
    name = table("session_id")
    item = {"session_id": "s", "user_id": "u", "expires_at": int(NOW + 1)}
    dynamodb.put_item(TableName=name, Item=pack(item))
    dynamodb.put_item(
        TableName=name, Item=pack({**item, "session_id": "named", "display_name": "Ada"})
    )
    reader = SessionReader(dynamodb, name, clock)
    assert reader.find("s", "u") == ActiveSession("")  # made before sessions had names
    assert reader.find("named", "u") == ActiveSession("Ada")


# --- idempotency ---


class Work:
    """Creates things, and counts them."""

    def __init__(self) -> None:
        self.done = 0
        self.fail: Exception | None = None

    def __call__(self, request: Request) -> Response:
        if self.fail:
            raise self.fail
        self.done += 1
        return Response(HTTPStatus.CREATED, {"number": self.done}, {"ETag": '"1"'})


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
def once(dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock) -> Idempotency:
    return Idempotency(dynamodb, table("idempotency_key"), clock)


def refusal(once: Idempotency, request: Request, work: Work) -> Problem:
    with pytest.raises(Problem) as refused:
        once.run(request, work)
    return refused.value


def test_a_repeat_gives_the_first_answer_and_works_once(once: Idempotency) -> None:
    work = Work()
    first = once.run(post({"a": 1, "b": 2}), work).to_event()
    again = once.run(post('{ "b": 2, "a": 1 }'), work).to_event()
    assert work.done == 1
    assert again == first
    assert first["statusCode"] == 201


def test_the_key_is_scoped_to_caller_method_and_path(once: Idempotency) -> None:
    work = Work()
    for request in (
        post(),
        post(user="user-2"),
        post(path="/v1/posts/1/comments"),
        post(key="key-2"),
        post(key=None),
        post(key=None),
    ):
        once.run(request, work)
    assert work.done == 6


def test_another_body_is_409_and_after_a_day_the_key_is_new(
    once: Idempotency, clock: FakeClock
) -> None:
    work = Work()
    once.run(post(), work)
    clock.advance(RETENTION - 1)
    assert refusal(once, post({"a": 2}), work).code == "idempotency_key_reused"
    clock.advance(1)
    assert once.run(post({"a": 2}), work).body == {"number": 2}


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_unusable_keys_are_400(once: Idempotency, key: str) -> None:
    assert refusal(once, post(key=key), Work()).status == 400


def test_a_request_in_flight_is_409_and_a_crashed_one_blocks_no_longer_than_its_lease(
    once: Idempotency, clock: FakeClock
) -> None:
    work = Work()

    def overlapping(request: Request) -> Response:
        assert refusal(once, post(), work).code == "request_in_progress"
        clock.advance(LEASE)  # this attempt hangs for longer than a function lives
        assert once.run(post(), work).body == {"number": 1}
        return Response(body={"number": "late"})

    once.run(post(), overlapping)
    assert once.run(post(), work).body == {
        "number": 1
    }  # the late answer has not replaced the one that was given


@pytest.mark.parametrize("error", [Problem.invalid([]), RuntimeError("x")])
def test_a_failed_attempt_frees_the_key(once: Idempotency, error: Exception) -> None:
    work = Work()
    work.fail = error
    with pytest.raises(type(error)):
        once.run(post(), work)
    work.fail = None
    assert once.run(post({"corrected": True}), work).status == 201


# --- rate limits ---


@pytest.fixture
def limiter(dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock) -> RateLimiter:
    return RateLimiter(dynamodb, table("limit_key"), enabled=True, clock=clock)


def test_the_window_rolls(limiter: RateLimiter, clock: FakeClock) -> None:
    for _ in range(3):
        limiter.reserve(LIMIT, "address", "email")
        clock.advance(10)
    with pytest.raises(Problem) as refused:
        limiter.reserve(LIMIT, "address", "email")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "30")
    clock.advance(30)
    limiter.reserve(LIMIT, "address", "email")  # the first has left the window, the others have not
    with pytest.raises(Problem):
        limiter.reserve(LIMIT, "address", "email")


def test_subjects_and_limits_are_apart(limiter: RateLimiter) -> None:
    subjects = [("a", "b"), ("ab", ""), ("a", "c"), ("d", "b")]
    for _ in range(3):
        for subject in subjects:
            limiter.reserve(LIMIT, *subject)
    limiter.reserve(Limit("other", 3, 60), "a", "b")


def test_what_is_released_does_not_count(limiter: RateLimiter) -> None:
    for _ in range(10):
        limiter.release(limiter.reserve(LIMIT, "a"))
    for _ in range(3):
        limiter.reserve(LIMIT, "a")


def test_exact_when_others_write_between_its_read_and_its_write(
    limiter: RateLimiter, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    read = dynamodb.get_item
    rivals: list[bool] = []

    def overtaken(**arguments: Any) -> Any:
        found = read(**arguments)
        if len(rivals) < 3:
            rivals.append(True)
            limiter.reserve(LIMIT, "a")
        return found

    monkeypatch.setattr(dynamodb, "get_item", overtaken)
    with pytest.raises(Problem) as refused:
        limiter.reserve(LIMIT, "a")
    assert refused.value.headers["Retry-After"] == "60"
    (item,) = dynamodb.scan(TableName="limit_key-table")["Items"]
    assert len(unpack(item)["attempts"]) == LIMIT.attempts


def test_switched_off_it_admits_everything(dynamodb: "DynamoDBClient") -> None:
    limiter = RateLimiter(dynamodb, "no-such-table", enabled=False)
    for _ in range(10):
        limiter.release(limiter.reserve(LIMIT, "a"))


def test_the_table_holds_no_address(limiter: RateLimiter, dynamodb: "DynamoDBClient") -> None:
    limiter.reserve(LIMIT, "203.0.113.7", "someone@example.com")
    (item,) = dynamodb.scan(TableName="limit_key-table")["Items"]
    assert "203.0.113.7" not in str(item)
    assert "someone" not in str(item)
    assert int(unpack(item)["expires_at"]) > NOW


# --- tickets ---


@pytest.fixture
def tickets(dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock) -> TicketStore:
    return TicketStore(dynamodb, table("ticket_hash"), clock)


def test_a_ticket_lets_in_once(tickets: TicketStore, dynamodb: "DynamoDBClient") -> None:
    ticket = tickets.issue(caller(), "Anonymous_Panda_789")
    stored: Any = dynamodb.scan(TableName="ticket_hash-table")["Items"]
    assert ticket not in str(stored)
    redeemed = tickets.redeem(ticket)
    assert redeemed is not None
    assert (redeemed.caller, redeemed.display_name) == (caller(), "Anonymous_Panda_789")
    assert tickets.redeem(ticket) is None


def test_a_ticket_ends(tickets: TicketStore, clock: FakeClock) -> None:
    ticket = tickets.issue(caller("user"), "A")
    clock.advance(LIFETIME)
    assert tickets.redeem(ticket) is None
    assert tickets.redeem("invented") is None
    assert tickets.redeem("") is None
