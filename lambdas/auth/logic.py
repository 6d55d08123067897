"""What the auth service does: it knows tokens, sessions and a user directory, and no HTTP event."""

import hmac
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import structs

from lambdas.auth.identity import Identity
from lambdas.auth.models import Anonymous, SessionView, SignedIn, TokenPair, User
from lambdas.auth.rate_limit import Limit, Reservation
from lambdas.auth.refresh_tokens import RefreshToken, RefreshTokens
from lambdas.auth.sessions import Session, SessionStore
from lambdas.common.caller import CAPABILITIES, Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.logs import Logger
from lambdas.common.people.names import anonymous_name
from lambdas.common.people.profiles import KnownProfile
from lambdas.common.problems import Problem
from lambdas.common.web.tokens import TokenIssuer

ACCESS_LIFETIME = 15 * 60
ANONYMOUS_LIFETIME = 60 * 60
SESSION_LIFETIME = 7 * 24 * 60 * 60
"""Seconds (API contract, Authentication and auth). A session's time starts again with each refresh."""

REFRESH_GRACE = 10_000
"""Milliseconds in which a spent refresh token is answered with its successor again (API contract, POST /refresh)."""

# The contract's figure: five failures in a minute for one pair of address and email.
LOGIN = Limit("login", 5, 60)
# The same for a password guessed with a stolen access token, by user.
CHANGE_PASSWORD = Limit("change-password", 5, 60)
# Chosen: codes guessed for one pair of address and email, whether or not the email is known. Cognito limits them too, but
# for known users only, so that its answer would tell who is one.
CONFIRM = Limit("confirm", 5, 300)
RESET_PASSWORD = Limit("reset-password", 5, 300)
# The rest is by address, and chosen: an office or a class shares one address, so an hour admits a group of it at once;
# register tells whether an email is known and, as the two below, sends mail to whoever is named.
REGISTER = Limit("register", 20, 3600)
RESEND_CONFIRMATION = Limit("resend-confirmation", 10, 3600)
FORGOT_PASSWORD = Limit("forgot-password", 10, 3600)
# No mail and no account, but each leaves an item in the table for an hour.
ANONYMOUS = Limit("anonymous", 60, 3600)

_ROTATIONS = 3  # a lost race leaves a newer generation, which the next try meets as its grace


class Limiter(Protocol):
    def reserve(self, limit: Limit, *subject: str) -> Reservation: ...

    def release(self, reservation: Reservation) -> None: ...


class Publisher(Protocol):
    def publish(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> None: ...


class Profiles(Protocol):
    def profiles(self, user_ids: Collection[str]) -> Mapping[str, KnownProfile]: ...


class AuthService:
    """Each method is one call of the API. `address` is the client's network address.

    All raise Problem as the API contract says.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        profiles: Profiles,
        sessions: SessionStore,
        access_tokens: TokenIssuer,
        refresh_tokens: RefreshTokens,
        limiter: Limiter,
        events: Publisher,
        logger: Logger,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._identity = identity
        self._profiles = profiles
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._refresh_tokens = refresh_tokens
        self._limiter = limiter
        self._events = events
        self._logger = logger
        self._clock = clock

    def register(self, email: str, password: str, display_name: str, *, address: str) -> User:
        self._limiter.reserve(REGISTER, address)
        email = email.lower()
        user_id = self._identity.sign_up(email, password, display_name)
        self._events.publish(
            "UserRegistered",
            actor_id=user_id,
            data={"userId": user_id, "displayName": display_name},
        )
        return User(user_id=user_id, email=email, display_name=display_name, roles=())

    def confirm(self, email: str, code: str, *, address: str) -> None:
        email = email.lower()
        with self._failures_limited(CONFIRM, address, email, counted=HTTPStatus.BAD_REQUEST):
            self._identity.confirm(email, code)

    def resend_confirmation(self, email: str, *, address: str) -> None:
        self._limiter.reserve(RESEND_CONFIRMATION, address)
        self._identity.resend_confirmation(email.lower())

    def login(
        self, email: str, password: str, device: str | dict[str, str] | None, *, address: str
    ) -> SignedIn:
        email = email.lower()
        with self._failures_limited(LOGIN, address, email, counted=HTTPStatus.UNAUTHORIZED):
            user = self._identity.authenticate(email, password)
        user = self._named(user)
        session_id = new_id()
        refresh_token = self._refresh_tokens.derive(session_id, 1)
        assert refresh_token is not None
        now = self._clock()
        session = Session(
            session_id=session_id,
            user_id=user.user_id,
            created_at=timestamp(now),
            last_used_at=timestamp(now),
            expires_at=int(now) + SESSION_LIFETIME,
            device=device,
            display_name=user.display_name,
            generation=1,
            refresh_kid=refresh_token.kid,
            refresh_hash=refresh_token.digest,
            rotated_at=int(now * 1000),
        )
        self._sessions.add(session)
        self._events.publish(
            "UserLoggedIn",
            actor_id=user.user_id,
            data={"userId": user.user_id, "sessionId": session_id},
        )
        pair = self._pair(user, refresh_token)
        return SignedIn(**structs.asdict(pair), user=user)

    def anonymous(self, *, address: str) -> Anonymous:
        self._limiter.reserve(ANONYMOUS, address)
        now = self._clock()
        session = Session(
            session_id=new_id(),
            user_id=new_id(),
            created_at=timestamp(now),
            last_used_at=timestamp(now),
            expires_at=int(now) + ANONYMOUS_LIFETIME,
            display_name=(name := anonymous_name()),
        )
        self._sessions.add(session)
        token = self._access_tokens.issue(
            session.user_id,
            session.session_id,
            lifetime=ANONYMOUS_LIFETIME,
            roles=frozenset(),
            capabilities=frozenset(CAPABILITIES),
        )
        return Anonymous(
            anonymous_id=session.user_id,
            display_name=name,
            access_token=token,
            expires_in=ANONYMOUS_LIFETIME,
            capabilities=CAPABILITIES,
        )

    def refresh(self, text: str) -> TokenPair:
        presented = self._refresh_tokens.read(text)
        if presented is None:
            raise _invalid_refresh_token()
        for _ in range(_ROTATIONS):
            session = self._sessions.find(presented.session_id)
            if session is None or presented.generation > session.generation:
                raise _invalid_refresh_token()
            answer = self._rotate if presented.generation == session.generation else self._repeat
            if (following := answer(session, presented)) is not None:
                return following
        raise Problem.unavailable()

    def logout(self, caller: Caller, *, all_devices: bool) -> None:
        if all_devices:
            self._sessions.revoke_all(caller.user_id)
        # By its key as well: the index may not show a session that is milliseconds old.
        self._sessions.revoke(caller.session_id, caller.user_id)
        if not caller.is_anonymous:
            data = {
                "userId": caller.user_id,
                "sessionId": caller.session_id,
                "allDevices": all_devices,
            }
            self._events.publish("UserLoggedOut", actor_id=caller.user_id, data=data)

    def sessions(self, caller: Caller) -> list[SessionView]:
        """The caller's sessions, the last used first."""
        found = sorted(
            self._sessions.list_for_user(caller.user_id), key=lambda s: s.last_used_at, reverse=True
        )
        return [
            SessionView(
                session_id=session.session_id,
                device=session.device,
                created_at=session.created_at,
                last_used_at=session.last_used_at,
                current=session.session_id == caller.session_id,
            )
            for session in found
        ]

    def delete_session(self, caller: Caller, session_id: str) -> None:
        if not self._sessions.revoke(session_id, caller.user_id):
            raise Problem.not_found("You have no such session.")

    def me(self, caller: Caller) -> User:
        if caller.is_anonymous:
            session = self._sessions.find(caller.session_id)
            name = session.display_name if session else ""
            return User(user_id=caller.user_id, email=None, display_name=name, roles=())
        user = self._identity.find(caller.user_id)
        if user is None:
            raise Problem.unauthorized("This account has been closed.", "account_closed")
        return self._named(user)

    def change_password(self, caller: Caller, current: str, new: str) -> None:
        attempt = self._limiter.reserve(CHANGE_PASSWORD, caller.user_id)
        self._identity.change_password(caller.user_id, current, new)
        self._limiter.release(attempt)
        self._sessions.revoke_all(caller.user_id, keep=caller.session_id)
        self._events.publish(
            "PasswordChanged", actor_id=caller.user_id, data={"userId": caller.user_id}
        )

    def forgot_password(self, email: str, *, address: str) -> None:
        self._limiter.reserve(FORGOT_PASSWORD, address)
        self._identity.send_reset_code(email.lower())

    def reset_password(self, email: str, code: str, new: str, *, address: str) -> None:
        email = email.lower()
        with self._failures_limited(RESET_PASSWORD, address, email, counted=HTTPStatus.BAD_REQUEST):
            user = self._identity.reset_password(email, code, new)
        if user is not None:
            self._sessions.revoke_all(user.user_id)
            self._events.publish(
                "PasswordChanged", actor_id=user.user_id, data={"userId": user.user_id}
            )

    @contextmanager
    def _failures_limited(self, limit: Limit, *subject: str, counted: HTTPStatus) -> Iterator[None]:
        """Counts an attempt that ends in a problem of the status `counted`: no success, no other refusal, no outage."""
        attempt = self._limiter.reserve(limit, *subject)
        try:
            yield
        except Exception as error:
            if not (isinstance(error, Problem) and error.status == counted):
                self._limiter.release(attempt)
            raise
        self._limiter.release(attempt)

    def _rotate(self, session: Session, presented: RefreshToken) -> TokenPair | None:
        """Spends the current token for the next; None when another request was faster."""
        if not hmac.compare_digest(presented.digest, session.refresh_hash):
            raise _invalid_refresh_token()
        user = self._named(
            self._user_of(session), session.display_name
        )  # before anything changes: a failure here must not cost the token
        following = self._refresh_tokens.derive(session.session_id, session.generation + 1)
        assert following is not None
        now = self._clock()
        rotated = structs.replace(
            session,
            display_name=user.display_name,
            generation=following.generation,
            refresh_kid=following.kid,
            refresh_hash=following.digest,
            rotated_at=int(now * 1000),
            last_used_at=timestamp(now),
            expires_at=int(now) + SESSION_LIFETIME,
        )
        return self._pair(user, following) if self._sessions.rotate(session, rotated) else None

    def _repeat(self, session: Session, presented: RefreshToken) -> TokenPair | None:
        """Answers a token spent a moment ago with its successor again; any older one is stolen or kept by a thief."""
        age = self._clock() * 1000 - session.rotated_at
        if presented.generation < session.generation - 1 or age > REFRESH_GRACE:
            self._sessions.revoke(session.session_id, session.user_id)
            detail = "This refresh token was used before; for safety its session has been ended. Sign in again."
            raise Problem.unauthorized(detail, "refresh_token_reused")
        current = self._refresh_tokens.derive(
            session.session_id, session.generation, session.refresh_kid
        )
        if current is None:
            raise _invalid_refresh_token()
        return self._pair(self._user_of(session), current)

    def _user_of(self, session: Session) -> User:
        """The user as it is now, so that granted and withdrawn roles come with the next token."""
        user = self._identity.find(session.user_id)
        if user is None:
            self._sessions.revoke(session.session_id, session.user_id)
            raise _invalid_refresh_token()
        return user

    def _named(self, user: User, before: str = "") -> User:
        """The user by the name in their profile, where they change it; the account keeps the first one.

        While the profile cannot be read it is the name they had `before`, or the account's: no name keeps anybody out.
        """
        try:
            profile = self._profiles.profiles([user.user_id]).get(user.user_id)
        except (ClientError, BotoCoreError, Problem):
            self._logger.warning("named without the profile", user_id=user.user_id, exc_info=True)
            return structs.replace(user, display_name=before or user.display_name)
        return structs.replace(user, display_name=profile.display_name) if profile else user

    def _pair(self, user: User, refresh_token: RefreshToken) -> TokenPair:
        access_token = self._access_tokens.issue(
            user.user_id,
            refresh_token.session_id,
            lifetime=ACCESS_LIFETIME,
            roles=frozenset(user.roles),
            capabilities=frozenset(),
        )
        return TokenPair(
            access_token=access_token, refresh_token=refresh_token.text, expires_in=ACCESS_LIFETIME
        )


def _invalid_refresh_token() -> Problem:
    return Problem.unauthorized(
        "The refresh token is not valid. Sign in again.", "invalid_refresh_token"
    )
