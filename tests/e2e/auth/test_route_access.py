"""Tests which callers each route accepts, and errors that all routes share."""

from __future__ import annotations

import pytest

from lambdas.common.web.router import Route
from lambdas.route_tables import route_tables
from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.routes import choose_body, fill_path
from tests.e2e.support.users import Person

ROUTES_WITH_ACCESS_RULE = [
    route for routes in route_tables().values() for route in routes if not route.access.public
]


def format_name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture(scope="module")
def anonymous_token(platform: Platform) -> str:
    """Returns an anonymous user's token."""
    platform.reset_rate_limits()
    return str(Api(platform.api_url).post("/v1/auth/anonymous", {}).expect(201)["accessToken"])


@pytest.fixture(scope="module")
def member_token(platform: Platform) -> str:
    """Returns a registered user's token."""
    platform.reset_rate_limits()
    return Person.sign_up(platform, Api(platform.api_url)).access_token


@pytest.mark.parametrize("route", ROUTES_WITH_ACCESS_RULE, ids=format_name)
def test_a_route_accepts_only_callers_that_its_access_rule_admits(
    api: Api, anonymous_token: str, route: Route
) -> None:
    path, body = fill_path(route), choose_body(route)
    api.call(route.method, path, body).expect_problem(401)
    if route.access.role:
        api.call(route.method, path, body, token=anonymous_token).expect_problem(
            403, "anonymous_not_allowed"
        )


def test_wrong_methods_and_invalid_bodies_are_rejected(api: Api, member_token: str) -> None:
    response = api.call("PUT", "/v1/posts", {}, token=member_token)
    response.expect_problem(405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
    api.post("/v1/posts", b"{", token=member_token).expect_problem(400, "malformed_json")
    api.post(
        "/v1/posts", b"x=1", token=member_token, headers={"Content-Type": "text/plain"}
    ).expect_problem(415)
    api.post("/v1/posts", b" " * (1024 * 1024 + 1), token=member_token).expect_problem(
        413, "body_too_large"
    )


def test_a_failed_request_does_not_block_its_idempotency_key(api: Api, member_token: str) -> None:
    for _ in range(2):
        response = api.post(
            "/v1/catalog/listings",
            {"title": "x"},
            token=member_token,
            headers={"Idempotency-Key": "once"},
        )
        response.expect_problem(422, "invalid_fields")
