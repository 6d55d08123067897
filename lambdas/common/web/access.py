"""Who may call a route: the access rules of the route tables, and how a request's caller is held against them."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, structs

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.problems import Problem
from lambdas.common.web.caller import Caller
from lambdas.common.web.http import Request
from lambdas.common.web.sessions import ActiveSession


class Access(Struct, frozen=True):
    """An access rule. A role or a capability, if named, narrows it from "anybody signed in"."""

    public: bool = False
    role: str | None = None
    capability: str | None = None

    def check(self, caller: Caller) -> None:
        """Raises Problem 403 unless the rule lets this caller in."""
        if self.role is not None and self.role not in caller.roles:
            if caller.is_anonymous:
                raise Problem.forbidden(
                    "Anonymous users cannot do this: register or sign in.", "anonymous_not_allowed"
                )
            raise Problem.forbidden(f"This takes the role {self.role}.", "role_required")
        if (
            self.capability is not None
            and caller.is_anonymous
            and self.capability not in caller.capabilities
        ):
            raise Problem.forbidden(
                "This anonymous session lacks the capability for it.", "capability_required"
            )


PUBLIC = Access(public=True)
"""No token is looked at."""

AUTHENTICATED = Access()
"""Any valid token, an anonymous user's too."""


def role(name: str) -> Access:
    """Registered users that have the role; `role(USER)` is every registered user."""
    return Access(role=name)


def capability(name: str) -> Access:
    """Every registered user, and anonymous users that have the capability."""
    return Access(capability=name)


class Sessions(Protocol):
    """Knows which sessions are alive."""

    def find(self, session_id: str, user_id: str) -> ActiveSession | None: ...


Identify = Callable[[Request], Caller]
"""Reads the caller from the request; raises Problem 401."""


def from_authorizer(request: Request) -> Caller:
    """The caller that the REST authorizer has established from the token's signature."""
    try:
        return Caller.from_context(request.authorizer)
    except (KeyError, ValueError):
        raise Problem.unauthorized() from None


class Authenticator:
    """Establishes a request's caller and holds the route's rule against it.

    Expiry is checked again, since the authorizer's answer is cached for a while, and so is the session, so that a revoked
    one's tokens are refused at once.
    """

    def __init__(self, identify: Identify, sessions: Sessions, clock: Clock = SYSTEM_CLOCK) -> None:
        self._identify = identify
        self._sessions = sessions
        self._clock = clock

    def authenticate(self, request: Request, access: Access) -> Caller | None:
        """The caller, None on a public route. Raises Problem 401 or 403."""
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
