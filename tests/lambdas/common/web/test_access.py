"""Tests which callers the access rules of routes admit."""

import pytest

from lambdas.common.caller import CHAT_ANONYMOUS, PLATFORM_ADMIN, READ, USER, Caller
from lambdas.common.problems import Problem
from lambdas.common.web.access import (
    AUTHENTICATED,
    PUBLIC,
    Access,
    Authenticator,
    capability,
    from_authorizer,
    role,
)
from lambdas.common.web.http import Request
from tests.lambdas.support import NOW, FakeClock, FakeSessions, caller, rest_event


def authenticate(
    access: Access, user: Caller | None, sessions: FakeSessions | None = None
) -> Caller | None:
    request = Request(
        rest_event("GET", "/v1/posts", authorizer=user.to_context() if user else None)
    )
    return Authenticator(from_authorizer, sessions or FakeSessions(), FakeClock()).authenticate(
        request, access
    )


def status_of(access: Access, user: Caller | None, sessions: FakeSessions | None = None) -> int:
    try:
        authenticate(access, user, sessions)
    except Problem as raised:
        return int(raised.status)
    return 200


@pytest.mark.parametrize("user", [caller(), caller("user"), caller("admin", "user")])
def test_the_authorizer_context_contains_all_data_of_the_caller_as_strings(user: Caller) -> None:
    context = user.to_context()
    assert all(isinstance(value, str) for value in context.values())
    assert Caller.from_context(context) == user


@pytest.mark.parametrize("context", [{}, {"sub": "a"}, {**caller().to_context(), "exp": "soon"}])
def test_an_incomplete_context_returns_401(context: dict[str, str]) -> None:
    event = rest_event("GET", "/v1/posts")
    event["requestContext"]["authorizer"] = context
    with pytest.raises(Problem) as raised:
        from_authorizer(Request(event))
    assert raised.value.status == 401


def test_a_public_route_ignores_the_token() -> None:
    assert authenticate(PUBLIC, caller(expires_at=0)) is None


def test_an_expired_token_returns_401_even_if_the_authorizer_accepted_it() -> None:
    assert status_of(AUTHENTICATED, caller("user", expires_at=NOW)) == 401
    assert status_of(AUTHENTICATED, caller("user", expires_at=NOW + 1)) == 200


def test_a_revoked_session_returns_401_even_if_the_access_rule_would_return_403() -> None:
    sessions = FakeSessions()
    sessions.revoked.add("session-1")
    assert status_of(role(PLATFORM_ADMIN), caller("user"), sessions) == 401


@pytest.mark.parametrize(
    ("access", "user", "expected"),
    [
        (AUTHENTICATED, caller(), 200),
        (AUTHENTICATED, None, 401),
        (role(USER), caller(), 403),
        (role(USER), caller("user"), 200),
        (role(PLATFORM_ADMIN), caller("user"), 403),
        (role(PLATFORM_ADMIN), caller("user", "admin"), 200),
        (capability(READ), caller(), 200),
        (capability(READ), caller("user"), 200),
        (
            capability(CHAT_ANONYMOUS),
            Caller("a", "s", frozenset(), frozenset({READ}), int(NOW + 1)),
            403,
        ),
    ],
)
def test_access_rules_admit_only_their_callers(
    access: Access, user: Caller | None, expected: int
) -> None:
    assert status_of(access, user) == expected


def test_the_caller_has_the_sessions_display_name() -> None:
    authenticated = authenticate(AUTHENTICATED, caller("user"), FakeSessions(display_name="Ada"))
    assert authenticated is not None
    assert authenticated.display_name == "Ada"
    assert "Ada" not in str(authenticated.to_context())
