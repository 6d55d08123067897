"""Every route of every service, called by nobody, anonymously and by a person."""

from __future__ import annotations

import json
import re

import pytest

from lambdas.catalogue import route_tables
from lambdas.common.router import Route
from tests.e2e.support import Api, Person, Platform

IMPLEMENTED = {"auth", "ai", "chat", "health", "post", "profile"}
STUBS = [route for service, routes in route_tables().items() if service not in IMPLEMENTED for route in routes]


def address(route: Route) -> str:
    return re.sub(r"\{\w+\}", "some-id", route.path)


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture(scope="module")
def visitor(platform: Platform) -> str:
    """An anonymous user's token."""
    platform.forget_attempts()
    return str(Api(platform.api_url).post("/v1/auth/anonymous", {}).expect(201)["accessToken"])


@pytest.fixture(scope="module")
def member(platform: Platform) -> str:
    """A registered user's token."""
    platform.forget_attempts()
    return Person.signed_in(platform, Api(platform.api_url)).access_token


@pytest.mark.parametrize("route", STUBS, ids=name)
def test_a_route_to_come_lets_in_whom_it_should(api: Api, visitor: str, member: str, route: Route) -> None:
    body: object = {} if route.method in {"POST", "PUT", "PATCH"} else None
    api.call(route.method, address(route), body).problem(401)
    api.call(route.method, address(route), body, token=member).problem(501, "not_implemented")
    answer = api.call(route.method, address(route), body, token=visitor)
    if route.access.role:
        answer.problem(403, "anonymous_not_allowed")
    else:
        answer.problem(501, "not_implemented")


def test_the_shared_rules_hold_for_services_to_come(api: Api, member: str) -> None:
    refused = api.call("PUT", "/v1/posts", {}, token=member)
    refused.problem(405, "method_not_allowed")
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
    api.post("/v1/posts", b"{", token=member).problem(400, "malformed_json")
    api.post("/v1/posts", b"x=1", token=member, headers={"Content-Type": "text/plain"}).problem(415)
    api.post("/v1/posts", b" " * (1024 * 1024 + 1), token=member).problem(413, "body_too_large")


def test_a_repeat_with_the_same_key_is_answered_although_nothing_came_of_the_first(api: Api, member: str) -> None:
    """An attempt that failed on our side must not hold its key."""
    for _ in range(2):
        answer = api.post("/v1/catalog/listings", {"title": "x"}, token=member, headers={"Idempotency-Key": "once"})
        answer.problem(501, "not_implemented")


def test_a_migration_is_invoked_directly(platform: Platform) -> None:
    reply = platform.aws("lambda").invoke(FunctionName="migration-lambda-local", Qualifier="live", Payload=b"{}")
    assert "FunctionError" not in reply
    assert json.loads(reply["Payload"].read())["status"] == 501
