"""Smoke tests: every route is asked, answers are judged, nothing is left behind, and nothing secret is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambdas.catalogue import route_tables
from ops.smoke import Smoke, load_suites
from ops.smoke.person import People
from ops.smoke.suite import Suite
from ops.smoke.transport import Ask, Reply, rest_event

TOKEN = "head.eyJzdWIiOiJ1MSIsInNpZCI6InMxIiwicm9sZXMiOlsidXNlciJdLCJjYXAiOltdLCJleHAiOjk5fQ.sig"
PEOPLE = People(TOKEN, "anonymous-token", {"run": "r1", "personId": "u1"})


class Service:
    """Answers requests as `answer` says, and remembers them."""

    def __init__(self, answer: Callable[[Ask], Reply]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def send(self, suite: Suite, ask: Ask) -> Reply:
        self.asked.append(f"{ask.method} {ask.path}")
        return self.answer(ask)


def suite(*requests: dict[str, Any], **more: Any) -> Suite:
    return Suite.model_validate({"service": "post", "path": "/v1/posts", "requests": list(requests), **more})


def as_template(call: str) -> tuple[str, tuple[str, ...]]:
    method, _, path = call.partition(" ")
    return method, tuple("*" if "$" in part or "%" in part else part for part in path.partition("?")[0].split("/"))


@pytest.mark.parametrize(("service", "routes"), route_tables().items(), ids=lambda value: str(value)[:10])
def test_every_route_is_asked_and_nothing_but_routes(service: str, routes: Any) -> None:
    wanted = {f"{route.method} {route.path}" for route in routes}
    covered = set()
    for request in load_suites()[service].requests:
        method, parts = as_template(request.call)
        fits = []
        for route in routes:
            template = tuple(route.path.split("/"))
            same = len(template) == len(parts) and all(
                one == other or (one.startswith("{") and (other == "*" or other.startswith("none-") or "{" in one))
                for one, other in zip(template, parts, strict=True)
            )
            if route.method == method and same:
                fits.append(f"{route.method} {route.path}")
        assert fits, f"{request.call} is no route of {service}"
        # A literal part fits its own route better than another's parameter.
        covered.add(min(fits, key=lambda name: name.count("{")))
    assert covered == wanted


NOT_ASKED = {"migration", "relay", "statistics", "delivery"}
"""Invoking the one migrates; the others are given batches of events, and their bake looks at their errors alone."""


def test_every_function_that_can_be_asked_has_a_suite() -> None:
    from typing import get_args

    from environments import FunctionName

    assert set(get_args(FunctionName)) - load_suites().keys() == NOT_ASKED


def test_values_of_answers_go_into_later_requests_and_clean_up_comes_last() -> None:
    service = Service(lambda ask: Reply(201 if ask.method == "POST" else 200, {"postId": "p1"}))
    tests = suite(
        {"call": "DELETE /v1/posts/${postId}", "expect": 200, "cleanup": True},
        {"call": "POST /v1/posts", "expect": 201, "keep": {"postId": "postId"}},
        {"call": "GET /v1/posts/${postId}", "expect": 200},
    )
    checks = Smoke(service, PEOPLE).suite(tests)
    assert service.asked == ["POST /v1/posts", "GET /v1/posts/p1", "DELETE /v1/posts/p1"]
    assert all(check.ok for check in checks)


def test_clean_up_comes_also_after_a_wrong_answer_and_out_of_time() -> None:
    clock = iter(range(100))
    service = Service(lambda ask: Reply(201 if ask.method == "POST" else 500, {"postId": "p1", "code": "internal"}))
    tests = suite(
        {"call": "POST /v1/posts", "expect": 201, "keep": {"postId": "postId"}},
        {"call": "GET /v1/posts", "expect": 200},
        {"call": "DELETE /v1/posts/${postId}", "expect": 500, "cleanup": True},
    )
    checks = Smoke(service, PEOPLE, deadline=2.5, clock=lambda: next(clock)).suite(tests)
    assert [check.detail for check in checks] == ["", "not asked: out of time", ""]
    assert service.asked[-1] == "DELETE /v1/posts/p1"


def test_a_wrong_answer_is_told_by_status_and_code_alone() -> None:
    body = {"code": "internal", "detail": "secret", "accessToken": "secret"}
    [check] = Smoke(Service(lambda _: Reply(500, body)), PEOPLE).suite(suite({"call": "GET /v1/posts", "expect": 200}))
    assert (check.ok, check.detail) == (False, "answered 500 internal, expected 200")
    assert "secret" not in repr(check)
    assert TOKEN not in repr(PEOPLE)


@pytest.mark.parametrize(("status", "ok"), [(404, True), (422, True), (200, False), (500, False), (401, False)])
def test_refused_is_an_answer_that_turns_the_request_down(status: int, ok: bool) -> None:
    tests = suite({"call": "PUT /v1/posts", "expect": "refused"})
    assert [check.ok for check in Smoke(Service(lambda _: Reply(status, {})), PEOPLE).suite(tests)] == [ok]


@pytest.mark.parametrize("unfinished", [True, False])
def test_501_passes_only_where_a_suite_says_that_the_code_is_to_come(unfinished: bool) -> None:
    tests = suite(
        {"call": "POST /v1/posts", "expect": 201, "keep": {"postId": "postId"}},
        {"call": "GET /v1/posts/${postId}", "expect": 200},
        unfinished=unfinished,
    )
    checks = Smoke(Service(lambda _: Reply(501, {})), PEOPLE).suite(tests)
    assert [check.ok for check in checks] == [unfinished, unfinished]


def test_what_is_repeated_in_a_bake_changes_nothing() -> None:
    for tests in load_suites().values():
        service = Service(lambda _: Reply(0, None))
        Smoke(service, PEOPLE).suite(tests, repeatable=True)
        assert all(asked.startswith("GET ") for asked in service.asked)


def test_an_event_is_what_api_gateway_would_make_of_the_request() -> None:
    event = rest_event(suite(), Ask("GET", "/v1/posts/p1?limit=1", {}, None, TOKEN))
    assert (event["resource"], event["path"]) == ("/v1/posts/{proxy+}", "/v1/posts/p1")
    assert event["queryStringParameters"] == {"limit": "1"}
    assert event["requestContext"]["authorizer"] == {
        "sub": "u1",
        "sid": "s1",
        "roles": "user",
        "cap": "",
        "exp": "99",
    }
    public = rest_event(suite(public=True), Ask("POST", "/v1/posts", {}, {"a": 1}, TOKEN))
    assert public["requestContext"]["authorizer"] == {}
    assert json.loads(public["body"]) == {"a": 1}
    assert public["resource"] == "/v1/posts"
