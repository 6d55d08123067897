"""Calls every route of every service without a token, anonymously and as a registered user."""

from __future__ import annotations

import re

import pytest

from lambdas.common.web.router import Route
from lambdas.route_tables import route_tables
from tests.e2e.support import Api, Person, Platform

CLOSED = [
    route for routes in route_tables().values() for route in routes if not route.access.public
]


def address(route: Route) -> str:
    return re.sub(r"\{\w+\}", "some-id", route.path)


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture(scope="module")
def visitor(platform: Platform) -> str:
    """Returns an anonymous user's token."""
    platform.forget_attempts()
    return str(Api(platform.api_url).post("/v1/auth/anonymous", {}).expect(201)["accessToken"])


@pytest.fixture(scope="module")
def member(platform: Platform) -> str:
    """Returns a registered user's token."""
    platform.forget_attempts()
    return Person.signed_in(platform, Api(platform.api_url)).access_token


@pytest.mark.parametrize("route", CLOSED, ids=name)
def test_a_route_accepts_only_callers_that_its_access_rule_admits(
    api: Api, visitor: str, route: Route
) -> None:
    body: object = {} if route.method in {"POST", "PUT", "PATCH"} else None
    api.call(route.method, address(route), body).problem(401)
    if route.access.role:
        api.call(route.method, address(route), body, token=visitor).problem(
            403, "anonymous_not_allowed"
        )


def test_wrong_methods_and_bodies_get_the_shared_errors(api: Api, member: str) -> None:
    refused = api.call("PUT", "/v1/posts", {}, token=member)
    refused.problem(405, "method_not_allowed")
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
    api.post("/v1/posts", b"{", token=member).problem(400, "malformed_json")
    api.post("/v1/posts", b"x=1", token=member, headers={"Content-Type": "text/plain"}).problem(415)
    api.post("/v1/posts", b" " * (1024 * 1024 + 1), token=member).problem(413, "body_too_large")


def test_a_retry_with_the_same_key_works_after_a_failed_attempt(api: Api, member: str) -> None:
    """A failed attempt does not block its key."""
    for _ in range(2):
        response = api.post(
            "/v1/catalog/listings",
            {"title": "x"},
            token=member,
            headers={"Idempotency-Key": "once"},
        )
        response.problem(422, "invalid_fields")
