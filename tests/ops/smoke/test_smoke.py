"""Tests that the smoke tests check responses, clean up and leak no secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from ops.smoke import Smoke, load_suites
from ops.smoke.person import People
from ops.smoke.suite import Event, Suite
from ops.smoke.transport import HttpRequest, Response, rest_event

TOKEN = "head.eyJzdWIiOiJ1MSIsInNpZCI6InMxIiwicm9sZXMiOlsidXNlciJdLCJjYXAiOltdLCJleHAiOjk5fQ.sig"
USERS = People(TOKEN, "anonymous-token", {"run": "r1", "personId": "u1"})


class Service:
    """A transport that returns the responses of `respond` and records the requests."""

    def __init__(self, respond: Callable[[HttpRequest], Response]) -> None:
        self.respond = respond
        self.requested: list[str] = []

    def send(self, suite: Suite, request: HttpRequest) -> Response:
        self.requested.append(f"{request.method} {request.path}")
        return self.respond(request)


def suite(*requests: dict[str, Any], **fields: Any) -> Suite:
    return Suite.model_validate(
        {"service": "post", "path": "/v1/posts", "requests": list(requests), **fields}
    )


NOT_PROBED = {"migration"}
"""Functions without probes. Invoking the migration function would migrate the database."""


def test_every_function_except_migration_has_a_suite() -> None:
    from typing import get_args

    from environments import FunctionName

    assert set(get_args(FunctionName)) - load_suites().keys() == NOT_PROBED


def test_later_requests_use_response_values_and_clean_up_runs_last() -> None:
    service = Service(
        lambda request: Response(201 if request.method == "POST" else 200, {"postId": "p1"})
    )
    tests = suite(
        {"call": "DELETE /v1/posts/${postId}", "expect": 200, "cleanup": True},
        {"call": "POST /v1/posts", "expect": 201, "keep": {"postId": "postId"}},
        {"call": "GET /v1/posts/${postId}", "expect": 200},
    )
    checks = Smoke(service, USERS).run_suite(tests)
    assert service.requested == ["POST /v1/posts", "GET /v1/posts/p1", "DELETE /v1/posts/p1"]
    assert all(check.ok for check in checks)


def test_clean_up_runs_after_an_unexpected_response_and_after_the_deadline() -> None:
    clock = iter(range(100))
    service = Service(
        lambda request: Response(
            201 if request.method == "POST" else 500, {"postId": "p1", "code": "internal"}
        )
    )
    tests = suite(
        {"call": "POST /v1/posts", "expect": 201, "keep": {"postId": "postId"}},
        {"call": "GET /v1/posts", "expect": 200},
        {"call": "DELETE /v1/posts/${postId}", "expect": 500, "cleanup": True},
    )
    checks = Smoke(service, USERS, deadline=2.5, clock=lambda: next(clock)).run_suite(tests)
    assert [check.detail for check in checks] == ["", "not sent: out of time", ""]
    assert service.requested[-1] == "DELETE /v1/posts/p1"


def test_an_unexpected_response_is_reported_by_status_and_code_only() -> None:
    body = {"code": "internal", "detail": "secret", "accessToken": "secret"}
    [check] = Smoke(Service(lambda _: Response(500, body)), USERS).run_suite(
        suite({"call": "GET /v1/posts", "expect": 200})
    )
    assert (check.ok, check.detail) == (False, "returned 500 internal, expected 200")
    assert "secret" not in repr(check)
    assert TOKEN not in repr(USERS)


@pytest.mark.parametrize(
    ("status", "ok"), [(404, True), (422, True), (200, False), (500, False), (401, False)]
)
def test_client_errors_except_401_meet_the_expectation_refused(status: int, ok: bool) -> None:
    tests = suite({"call": "PUT /v1/posts", "expect": "refused"})
    assert [
        check.ok for check in Smoke(Service(lambda _: Response(status, {})), USERS).run_suite(tests)
    ] == [ok]


class Function(Service):
    """A transport that invokes functions directly. Returns the same response for every event."""

    def __init__(self, response: Response) -> None:
        super().__init__(lambda _: response)
        self.events: list[Any] = []

    def invoke(self, suite: Suite, event: Event) -> Response:
        self.events.append(event.event)
        return self.respond(HttpRequest("", "", {}, None, None))


NO_FAILURES: dict[str, Any] = {"batchItemFailures": []}


@pytest.mark.parametrize("consumer", ["relay", "statistics", "delivery"])
@pytest.mark.parametrize(
    ("response", "detail"),
    [
        (Response(200, NO_FAILURES), ""),
        (
            Response(200, {"batchItemFailures": [{"itemIdentifier": "smoke"}]}),
            "returned an unexpected result",
        ),
        (Response(0, None, "a bug"), "raised an error"),
    ],
    ids=["no failures", "failed message", "error"],
)
def test_event_consumers_are_probed_with_an_event_that_changes_nothing(
    consumer: str, response: Response, detail: str
) -> None:
    function = Function(response)
    [check] = Smoke(function, USERS).run_suite(load_suites()[consumer])
    assert (check.ok, check.detail) == (not detail, detail)
    [record] = function.events[0]["Records"]
    assert "$" not in record["body"]
    assert json.loads(record["body"])
    over_http = Smoke(Service(lambda _: response), USERS)
    assert over_http.run_suite(load_suites()[consumer]) == []


class Chat(Service):
    """A transport with a WebSocket that accepts only the ticket t1.

    `responses` has the response frame for each action, and `status` the status for ticket t1.
    """

    def __init__(self, responses: dict[str, Any], status: int = 101) -> None:
        super().__init__(
            lambda request: Response(
                201 if request.method == "POST" else 204, {"ticket": "t1", "roomId": "r1"}
            )
        )
        self.responses, self.status = responses, status
        self.sent: list[Any] = []

    @contextmanager
    def open(self, ticket: str) -> Iterator[tuple[Response, Any]]:
        self.requested.append(f"open {ticket}")
        yield Response(self.status if ticket == "t1" else 403, None), self._exchange

    def _exchange(self, frame: Any) -> Response:
        self.sent.append(frame)
        body = self.responses[frame["action"]]
        return (
            Response(101, {**body, "requestId": frame["requestId"]})
            if body
            else Response(0, None, "TimeoutError")
        )


SOCKET = {
    "ticket": "${ticket}",
    "frames": [
        {"send": {"action": "join_room", "roomId": "${roomId}"}, "expect": "ack"},
        {"send": {"action": "smoke"}, "expect": "unknown_action"},
    ],
}
CHAT = (
    {
        "call": "POST /v1/chat/rooms",
        "expect": 201,
        "keep": {"roomId": "roomId", "ticket": "ticket"},
    },
    {"call": "DELETE /v1/chat/rooms/${roomId}", "expect": 204, "cleanup": True},
)
ACK, UNKNOWN = {"type": "ack"}, {"type": "error", "code": "unknown_action", "message": "t1"}


def test_frames_are_sent_before_the_room_is_deleted() -> None:
    chat = Chat({"join_room": ACK, "smoke": UNKNOWN})
    checks = Smoke(chat, USERS).run_suite(suite(*CHAT, socket=SOCKET))
    assert chat.requested == [
        "POST /v1/chat/rooms",
        "open invented",
        "open t1",
        "DELETE /v1/chat/rooms/r1",
    ]
    assert [frame.get("roomId") for frame in chat.sent] == ["r1", None]
    assert all(check.ok for check in checks), checks
    assert [check.request for check in checks][1:5] == [
        "WebSocket connect, invalid ticket",
        "WebSocket connect",
        "WebSocket join_room",
        "WebSocket smoke",
    ]
    chat.sent.clear()
    Smoke(chat, USERS).run_suite(suite(*CHAT, socket=SOCKET), repeatable=True)
    assert not chat.sent


@pytest.mark.parametrize(
    ("responses", "status", "details"),
    [
        (
            {"join_room": UNKNOWN, "smoke": ACK},
            101,
            ["received unknown_action, expected ack", "received ack, expected unknown_action"],
        ),
        ({"join_room": None, "smoke": UNKNOWN}, 101, ["no response (TimeoutError), expected ack"]),
        ({}, 500, ["returned 500, expected 101"]),
    ],
    ids=["unexpected frames", "no frame", "connection refused"],
)
def test_unexpected_frames_are_reported_and_the_room_is_deleted(
    responses: dict[str, Any], status: int, details: list[str]
) -> None:
    chat = Chat(responses, status)
    checks = Smoke(chat, USERS).run_suite(suite(*CHAT, socket=SOCKET))
    assert [check.detail for check in checks if not check.ok] == details
    assert chat.requested[-1] == "DELETE /v1/chat/rooms/r1"


def test_a_websocket_that_opens_for_an_invalid_ticket_is_reported() -> None:
    chat = Chat({"join_room": ACK, "smoke": UNKNOWN})
    opened: Any = lambda _: nullcontext((Response(101, None), chat._exchange))  # noqa: E731
    chat.open = opened  # type: ignore[method-assign]
    [failed] = [
        check for check in Smoke(chat, USERS).run_suite(suite(*CHAT, socket=SOCKET)) if not check.ok
    ]
    assert (failed.request, failed.detail) == (
        "WebSocket connect, invalid ticket",
        "returned 101, expected 403",
    )


def test_probes_that_run_repeatedly_during_a_bake_period_only_read() -> None:
    for tests in load_suites().values():
        service = Service(lambda _: Response(0, None))
        Smoke(service, USERS).run_suite(tests, repeatable=True)
        assert all(call.startswith("GET ") for call in service.requested)


def test_an_event_has_the_format_of_api_gateway() -> None:
    event = rest_event(suite(), HttpRequest("GET", "/v1/posts/p1?limit=1", {}, None, TOKEN))
    assert (event["resource"], event["path"]) == ("/v1/posts/{proxy+}", "/v1/posts/p1")
    assert event["queryStringParameters"] == {"limit": "1"}
    assert event["requestContext"]["authorizer"] == {
        "sub": "u1",
        "sid": "s1",
        "roles": "user",
        "cap": "",
        "exp": "99",
    }
    public = rest_event(suite(public=True), HttpRequest("POST", "/v1/posts", {}, {"a": 1}, TOKEN))
    assert public["requestContext"]["authorizer"] == {}
    assert json.loads(public["body"]) == {"a": 1}
    assert public["resource"] == "/v1/posts"
