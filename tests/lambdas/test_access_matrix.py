"""Checks the access to every route for every kind of caller against the API contract.

The table is written by hand, because the code's own route tables are compared with it. The second
column is the access rule: `public` admits every request, `all` admits every valid token, and
`users` admits only tokens of registered users.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.common.web.access import Authenticator, from_authorizer
from lambdas.common.web.http import Request, Response
from lambdas.common.web.router import Route, Router
from lambdas.route_tables import route_tables
from tests.lambdas.support import NOW, FakeClock, FakeSessions, caller, rest_event

CONTRACT = """
auth     public  POST   /v1/auth/register
auth     public  POST   /v1/auth/confirm
auth     public  POST   /v1/auth/resend-confirmation
auth     public  POST   /v1/auth/login
auth     public  POST   /v1/auth/anonymous
auth     public  POST   /v1/auth/refresh
auth     all     POST   /v1/auth/logout
auth     all     GET    /v1/auth/sessions
auth     all     DELETE /v1/auth/sessions/a
auth     all     GET    /v1/auth/me
auth     users   POST   /v1/auth/change-password
auth     public  POST   /v1/auth/forgot-password
auth     public  POST   /v1/auth/reset-password
profile  all     GET    /v1/profile
profile  users   PUT    /v1/profile
profile  users   PATCH  /v1/profile
profile  all     GET    /v1/profile/a
profile  users   POST   /v1/profile/avatar
profile  users   PUT    /v1/profile/avatar
profile  users   DELETE /v1/profile/avatar
profile  all     GET    /v1/profile/privacy
profile  users   PUT    /v1/profile/privacy
profile  all     GET    /v1/profile/preferences
profile  users   PUT    /v1/profile/preferences
profile  all     GET    /v1/profile/alias
profile  users   POST   /v1/profile/alias/regenerate
chat     all     GET    /v1/chat/rooms
chat     users   POST   /v1/chat/rooms
chat     all     GET    /v1/chat/rooms/a
chat     users   PATCH  /v1/chat/rooms/a
chat     users   DELETE /v1/chat/rooms/a
chat     all     POST   /v1/chat/rooms/a/join
chat     all     DELETE /v1/chat/rooms/a/leave
chat     all     GET    /v1/chat/rooms/a/members
chat     users   POST   /v1/chat/rooms/a/members
chat     users   PATCH  /v1/chat/rooms/a/members/b
chat     users   DELETE /v1/chat/rooms/a/members/b
chat     all     GET    /v1/chat/rooms/a/messages
chat     all     POST   /v1/chat/rooms/a/messages
chat     all     PATCH  /v1/chat/rooms/a/messages/b
chat     all     DELETE /v1/chat/rooms/a/messages/b
chat     all     PUT    /v1/chat/rooms/a/messages/b/reactions/%F0%9F%91%8D
chat     all     DELETE /v1/chat/rooms/a/messages/b/reactions/%F0%9F%91%8D
chat     users   POST   /v1/chat/rooms/a/attachments
chat     all     GET    /v1/chat/rooms/a/attachments/b
chat     all     POST   /v1/chat/tickets
post     users   POST   /v1/posts/uploads
post     all     GET    /v1/posts
post     all     POST   /v1/posts
post     all     GET    /v1/posts/a
post     all     PATCH  /v1/posts/a
post     all     DELETE /v1/posts/a
post     users   PUT    /v1/posts/a/like
post     users   DELETE /v1/posts/a/like
post     all     GET    /v1/posts/a/comments
post     all     POST   /v1/posts/a/comments
post     all     PATCH  /v1/posts/a/comments/b
post     all     DELETE /v1/posts/a/comments/b
catalog  all     GET    /v1/catalog/listings
catalog  users   POST   /v1/catalog/listings
catalog  all     GET    /v1/catalog/listings/a
catalog  users   PATCH  /v1/catalog/listings/a
catalog  users   DELETE /v1/catalog/listings/a
catalog  users   POST   /v1/catalog/uploads
catalog  all     GET    /v1/catalog/categories
catalog  all     GET    /v1/catalog/wishlist
catalog  users   PUT    /v1/catalog/wishlist/a
catalog  users   DELETE /v1/catalog/wishlist/a
catalog  all     GET    /v1/catalog/listings/a/ratings
catalog  users   GET    /v1/catalog/listings/a/inquiries
catalog  users   POST   /v1/catalog/listings/a/ratings
catalog  users   POST   /v1/catalog/listings/a/contact
ai       users   POST   /v1/ai/ask
ai       users   POST   /v1/ai/summarize
ai       users   POST   /v1/ai/translate
ai       users   POST   /v1/ai/moderate
ai       users   GET    /v1/ai/conversations
ai       users   GET    /v1/ai/conversations/a
ai       users   DELETE /v1/ai/conversations/a
health   public  GET    /health
"""
ROWS = [tuple(line.split()) for line in CONTRACT.strip().splitlines()]

CALLERS: Mapping[str, Any] = {
    "no token": None,
    "anonymous": caller(),
    "user": caller("user"),
    "moderator": caller("user", "moderator"),
    "admin": caller("user", "admin"),
}
EXPECTED = {  # Statuses by access rule, in the order of CALLERS.
    "public": (200, 200, 200, 200, 200),
    "all": (401, 200, 200, 200, 200),
    "users": (401, 403, 200, 200, 200),
}
# The capability that an anonymous user needs, by service and method. The API contract defines
# these three capabilities.
CAPABILITY_OF_ROUTE = {
    ("chat", "GET"): "read",
    ("chat", "other"): "chat_anonymous",
    ("post", "GET"): "read",
    ("post", "other"): "post_anonymous",
    ("profile", "GET"): "read",
    ("catalog", "GET"): "read",
}

# Routes that create something and therefore accept Idempotency-Key. Routes that issue only tokens
# or signatures for uploads ignore the header.
IDEMPOTENT = {
    "/v1/profile/alias/regenerate",
    "/v1/chat/rooms",
    "/v1/chat/rooms/{roomId}/members",
    "/v1/chat/rooms/{roomId}/messages",
    "/v1/posts",
    "/v1/posts/{postId}/comments",
    "/v1/catalog/listings",
    "/v1/catalog/listings/{listingId}/ratings",
    "/v1/catalog/listings/{listingId}/contact",
    "/v1/ai/ask",
}
# POST routes that create nothing except tokens and signatures, so requests are safe to repeat.
NOTHING_CREATED = {
    "/v1/auth/logout",
    "/v1/auth/change-password",
    "/v1/profile/avatar",
    "/v1/chat/rooms/{roomId}/join",
    "/v1/chat/rooms/{roomId}/attachments",
    "/v1/chat/tickets",
    "/v1/posts/uploads",
    "/v1/catalog/uploads",
    "/v1/ai/summarize",
    "/v1/ai/translate",
    "/v1/ai/moderate",
}


class _NoIdempotency:
    def run(self, request: Request, work: Any) -> Response[Any]:
        return work(request)  # type: ignore[no-any-return]


def _status_of(routes: tuple[Route, ...], logger: Logger, method: str, path: str, user: Any) -> int:
    """Returns the status of the response to a caller. All operations are fakes that succeed."""
    router = Router(
        routes,
        {route.operation: lambda _request: Response() for route in routes},
        authenticator=Authenticator(from_authorizer, FakeSessions(), FakeClock(NOW)),
        logger=logger,
        cors_origins=(),
        idempotency=_NoIdempotency(),
    )
    status: int = router(
        rest_event(method, path, authorizer=user.to_context() if user else None), None
    )["statusCode"]
    return status


@pytest.mark.parametrize(
    ("service", "rule", "method", "path"), ROWS, ids=[" ".join(row[2:]) for row in ROWS]
)
def test_each_kind_of_caller_gets_the_expected_status(
    service: str, rule: str, method: str, path: str, logger: Logger
) -> None:
    routes = route_tables()[service]
    statuses = tuple(_status_of(routes, logger, method, path, user) for user in CALLERS.values())
    assert dict(zip(CALLERS, statuses, strict=True)) == dict(
        zip(CALLERS, EXPECTED[rule], strict=True)
    )


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [(s, m, p) for s, rule, m, p in ROWS if rule == "all" and s != "auth"],
    ids=lambda value: value,
)
def test_anonymous_users_need_the_capability_of_the_route(
    service: str, method: str, path: str, logger: Logger
) -> None:
    needed = CAPABILITY_OF_ROUTE[service, "GET" if method == "GET" else "other"]
    for held in ("read", "post_anonymous", "chat_anonymous"):
        user = caller().from_context({**caller().to_context(), "cap": held})
        assert _status_of(route_tables()[service], logger, method, path, user) == (
            200 if held == needed else 403
        ), held


def test_the_services_have_exactly_the_routes_of_the_table() -> None:
    def shape(path: str) -> str:
        literal = {"a", "b", "%F0%9F%91%8D"}
        return "/".join(
            "{}" if part in literal or part.startswith("{") else part for part in path.split("/")
        )

    contract = {(service, method, shape(path)) for service, _, method, path in ROWS}
    code = {
        (s, route.method, shape(route.path))
        for s, table in route_tables().items()
        for route in table
    }
    assert code == contract


def test_routes_that_create_something_accept_idempotency_keys() -> None:
    routes = [route for table in route_tables().values() for route in table if route.idempotent]
    assert {route.path for route in routes} == IDEMPOTENT
    assert {route.method for route in routes} == {"POST"}
    others = {
        route.path
        for table in route_tables().values()
        for route in table
        if route.method == "POST" and not route.idempotent and not route.access.public
    }
    assert others == NOTHING_CREATED
