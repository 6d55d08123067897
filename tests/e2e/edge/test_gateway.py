"""Tests the responses of API Gateway itself, and CORS."""

from __future__ import annotations

import pytest

from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person, User

SERVICE_PATHS = ["/v1/auth", "/v1/profile", "/v1/chat", "/v1/posts", "/v1/catalog", "/v1/ai"]
PREFLIGHTS = {
    "/v1/auth/login": "POST",
    "/v1/profile": "PATCH",
    "/v1/profile/avatar": "PUT",
    "/v1/chat/rooms/r-1/messages": "POST",
    "/v1/posts/p-1/like": "DELETE",
    "/v1/catalog/listings": "GET",
    "/v1/ai/ask": "POST",
    "/health": "GET",
}
"""Maps one path of each service to a method that the path accepts."""
ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def user(platform: Platform) -> User:
    return User.create(platform, "Ann Example")


@pytest.mark.parametrize("path", PREFLIGHTS)
def test_a_preflight_request_needs_no_token(api: Api, path: str) -> None:
    method = PREFLIGHTS[path]
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": (
            "authorization,content-type,if-match,idempotency-key,x-correlation-id"
        ),
    }
    response = api.call("OPTIONS", path, headers=headers)
    assert (response.status, response.body) == (204, b"")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert method in response.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = {
        name.lower() for name in response.headers["Access-Control-Allow-Headers"].split(", ")
    }
    assert allowed == set(headers["Access-Control-Request-Headers"].split(","))
    assert int(response.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_responses_and_errors_have_cors_headers(person: Person, api: Api) -> None:
    responses = [
        api.get(
            "/v1/auth/me", token=person.access_token, headers={"Origin": ORIGIN}
        ),  # a successful response of the function
        api.get("/v1/auth/me", headers={"Origin": ORIGIN}),  # an error of the function
        api.get("/v1/profile", headers={"Origin": ORIGIN}),  # an error of the gateway
    ]
    for response in responses:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        exposed = response.headers["Access-Control-Expose-Headers"].replace(" ", "").split(",")
        assert set(exposed) == {"Retry-After", "ETag", "X-Correlation-Id"}
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", SERVICE_PATHS[1:])
@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer x", "Bearer a.b", "Basic dTpw", "a.b.c", "Bearer a.b.c d"]
)
def test_a_missing_or_malformed_token_returns_401(api: Api, path: str, header: str | None) -> None:
    for suffix in ("", "/anything"):
        response = api.get(
            path + suffix, headers={} if header is None else {"Authorization": header}
        )
        response.expect_problem(401, "unauthorized")
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/auth/login", "/nothing", "/health/deep"])
def test_an_unknown_path_returns_404(api: Api, user: User, path: str) -> None:
    api.get(path).expect_problem(404, "not_found")
    api.get(path, token=user.token).expect_problem(404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/auth",
        "/v1/auth/nothing",
        "/v1/profile/a/b/c",
        "/v1/chat",
        "/v1/catalog",
        "/v1/ai",
        "/v1/ai/nothing",
    ],
)
def test_an_unknown_path_of_a_service_returns_404(api: Api, user: User, path: str) -> None:
    api.get(path, token=user.token).expect_problem(404, "not_found")


def test_a_valid_correlation_id_is_returned_and_an_invalid_one_is_replaced(api: Api) -> None:
    supplied = api.get("/health", headers={"X-Correlation-Id": "trace-42"})
    assert supplied.headers["X-Correlation-Id"] == "trace-42"
    generated = {api.get("/health").headers["X-Correlation-Id"] for _ in range(2)}
    assert len(generated) == 2
    invalid = api.get("/health", headers={"X-Correlation-Id": "a b\tc"})
    assert invalid.headers["X-Correlation-Id"] not in ("", "a b\tc")


def test_a_body_above_the_limit_of_api_gateway_returns_413(api: Api) -> None:
    # API Gateway accepts up to 10 MB. The function rejects bodies of more than 1 MB.
    api.post("/v1/auth/login", b" " * (10 * 1024 * 1024 + 1)).expect_problem(413)


@pytest.mark.parametrize("path", ["/nothing", "/v1/profile"])
def test_an_error_of_api_gateway_does_not_repeat_an_invalid_correlation_id(
    api: Api, path: str
) -> None:
    responses = [api.get(path, headers={"X-Correlation-Id": "a b"}) for _ in range(2)]
    ids = {response.json["correlationId"] for response in responses}
    assert len(ids) == 2
    assert all("$" not in id_ and "context" not in id_ for id_ in ids)
    assert all(r.headers.get("X-Correlation-Id") is None for r in responses)
