"""Access rules of routes, and the check whether a rule admits the caller of a request."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, structs

from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.problems import Problem
from lambdas.common.web.http import Request
from lambdas.common.web.sessions import ActiveSession


class Access(Struct, frozen=True):
    """An access rule. If `public` is True, it admits every request.

    Otherwise, a rule with neither role nor capability admits all authenticated callers.
    """

    public: bool = False
    role: str | None = None
    capability: str | None = None

    def check(self, caller: Caller) -> None:
        """Raises Problem 403 unless the rule admits this caller."""
        if self.role is not None and self.role not in caller.roles:
            if caller.is_anonymous:
                raise Problem.forbidden(
                    "Anonymous users cannot do this. Register or sign in.", "anonymous_not_allowed"
                )
            raise Problem.forbidden(f"This requires the role {self.role}.", "role_required")
        if (
            self.capability is not None
            and caller.is_anonymous
            and self.capability not in caller.capabilities
        ):
            raise Problem.forbidden(
                "This anonymous session lacks the required capability.", "capability_required"
            )


PUBLIC = Access(public=True)
"""Admits every request. The token is ignored."""

AUTHENTICATED = Access()
"""Admits requests with any valid token, including those of anonymous users."""


def role(name: str) -> Access:
    """Returns a rule that admits users with the role. All registered users have the role USER."""
    return Access(role=name)


def capability(name: str) -> Access:
    """Returns a rule that admits all registered users, and anonymous users with the capability."""
    return Access(capability=name)


class Sessions(Protocol):
    def find(self, session_id: str, user_id: str) -> ActiveSession | None: ...


Identify = Callable[[Request], Caller]
"""A function that returns the caller of a request, or raises Problem 401."""


def from_authorizer(request: Request) -> Caller:
    """Returns the caller that the REST authorizer verified. Raises Problem 401."""
    try:
        return Caller.from_context(request.authorizer)
    except (KeyError, ValueError):
        raise Problem.unauthorized() from None


class Authenticator:
    """Identifies the caller of a request and checks the route's access rule.

    The token's expiry is checked again, because API Gateway caches the authorizer's response. The
    session is checked so that tokens of a revoked session are rejected immediately.
    """

    def __init__(self, identify: Identify, sessions: Sessions, clock: Clock = SYSTEM_CLOCK) -> None:
        self._identify = identify
        self._sessions = sessions
        self._clock = clock

    def authenticate(self, request: Request, access: Access) -> Caller | None:
        """Returns the caller, or None on a public route. Raises Problem 401 or 403."""
        if access.public:
            return None
        caller = self._identify(request)
        if caller.expires_at <= self._clock():
            raise Problem.unauthorized("The access token has expired.", "token_expired")
        session = self._sessions.find(caller.session_id, caller.user_id)
        if session is None:
            raise Problem.unauthorized("The session has ended.", "session_ended")
        access.check(caller)
        return structs.replace(caller, display_name=session.display_name)
