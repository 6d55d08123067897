"""What API Gateway answers by itself, and what pages of other origins may read."""

from __future__ import annotations

import pytest

from tests.e2e.support import Api, Person

BARE = ["/v1/auth", "/v1/profile", "/v1/chat", "/v1/posts", "/v1/catalog", "/v1/ai"]
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
"""A path of each service, and a method it takes."""
ORIGIN = "https://app.example.com"


@pytest.mark.parametrize("path", PREFLIGHTS)
def test_a_preflight_needs_no_token(api: Api, path: str) -> None:
    method = PREFLIGHTS[path]
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,if-match,idempotency-key,x-correlation-id",
    }
    answer = api.call("OPTIONS", path, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert method in answer.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = {name.lower() for name in answer.headers["Access-Control-Allow-Headers"].split(", ")}
    assert allowed == set(asked["Access-Control-Request-Headers"].split(","))
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_reads_answers_and_errors_alike(person: Person, api: Api) -> None:
    answers = [
        api.get(
            "/v1/auth/me", token=person.access_token, headers={"Origin": ORIGIN}
        ),  # the function's
        api.get("/v1/auth/me", headers={"Origin": ORIGIN}),  # the function's error
        api.get("/v1/profile", headers={"Origin": ORIGIN}),  # the gateway's error
    ]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        exposed = answer.headers["Access-Control-Expose-Headers"].replace(" ", "").split(",")
        assert set(exposed) == {"Retry-After", "ETag", "X-Correlation-Id"}
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", BARE[1:])
@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer x", "Bearer a.b", "Basic dTpw", "a.b.c", "Bearer a.b.c d"]
)
def test_no_token_or_none_of_ours_is_401(api: Api, path: str, header: str | None) -> None:
    for below in ("", "/anything"):
        answer = api.get(path + below, headers={} if header is None else {"Authorization": header})
        answer.problem(401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/auth/login", "/nothing", "/health/deep"])
def test_an_unknown_address_is_404(api: Api, person: Person, path: str) -> None:
    api.get(path).problem(404, "not_found")
    api.get(path, token=person.access_token).problem(404, "not_found")


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
def test_an_address_no_service_knows_is_404(api: Api, person: Person, path: str) -> None:
    api.get(path, token=person.access_token).problem(404, "not_found")


def test_a_correlation_id_is_kept_or_made(api: Api) -> None:
    given = api.get("/health", headers={"X-Correlation-Id": "trace-42"})
    assert given.headers["X-Correlation-Id"] == "trace-42"
    made = {api.get("/health").headers["X-Correlation-Id"] for _ in range(2)}
    assert len(made) == 2
    unusable = api.get("/health", headers={"X-Correlation-Id": "a b\tc"})
    assert unusable.headers["X-Correlation-Id"] not in ("", "a b\tc")


def test_a_body_beyond_the_gateways_limit_is_413(api: Api) -> None:
    # API Gateway takes 10 MB; what is between that and our 1 MB is the function's to refuse.
    api.post("/v1/auth/login", b" " * (10 * 1024 * 1024 + 1)).problem(413)
