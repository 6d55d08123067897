"""Callers and the rules they are held against."""

import pytest

from lambdas.common.caller import ADMIN, CHAT_ANONYMOUS, READ, USER, Caller
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
    access: Access, who: Caller | None, sessions: FakeSessions | None = None
) -> Caller | None:
    request = Request(rest_event("GET", "/v1/posts", authorizer=who.to_context() if who else None))
    return Authenticator(from_authorizer, sessions or FakeSessions(), FakeClock()).authenticate(
        request, access
    )


def status_of(access: Access, who: Caller | None, sessions: FakeSessions | None = None) -> int:
    try:
        authenticate(access, who, sessions)
    except Problem as refused:
        return int(refused.status)
    return 200


@pytest.mark.parametrize("who", [caller(), caller("user"), caller("admin", "user")])
def test_context_carries_the_whole_caller_as_strings(who: Caller) -> None:
    context = who.to_context()
    assert all(isinstance(value, str) for value in context.values())
    assert Caller.from_context(context) == who


@pytest.mark.parametrize("context", [{}, {"sub": "a"}, {**caller().to_context(), "exp": "soon"}])
def test_incomplete_context_is_401(context: dict[str, str]) -> None:
    event = rest_event("GET", "/v1/posts")
    event["requestContext"]["authorizer"] = context
    with pytest.raises(Problem) as refused:
        from_authorizer(Request(event))
    assert refused.value.status == 401


def test_public_looks_at_no_token() -> None:
    assert authenticate(PUBLIC, caller(expires_at=0)) is None


def test_expiry_is_checked_again() -> None:
    assert status_of(AUTHENTICATED, caller("user", expires_at=NOW)) == 401
    assert status_of(AUTHENTICATED, caller("user", expires_at=NOW + 1)) == 200


def test_revoked_session_is_401_before_any_403() -> None:
    sessions = FakeSessions()
    sessions.revoked.add("session-1")
    assert status_of(role(ADMIN), caller("user"), sessions) == 401


@pytest.mark.parametrize(
    ("access", "who", "expected"),
    [
        (AUTHENTICATED, caller(), 200),
        (AUTHENTICATED, None, 401),
        (role(USER), caller(), 403),
        (role(USER), caller("user"), 200),
        (role(ADMIN), caller("user"), 403),
        (role(ADMIN), caller("user", "admin"), 200),
        (capability(READ), caller(), 200),
        (capability(READ), caller("user"), 200),
        (
            capability(CHAT_ANONYMOUS),
            Caller("a", "s", frozenset(), frozenset({READ}), int(NOW + 1)),
            403,
        ),
    ],
)
def test_rules(access: Access, who: Caller | None, expected: int) -> None:
    assert status_of(access, who) == expected


def test_the_caller_has_the_sessions_display_name() -> None:
    found = authenticate(AUTHENTICATED, caller("user"), FakeSessions(display_name="Ada"))
    assert found is not None
    assert found.display_name == "Ada"
    assert "Ada" not in str(found.to_context())
