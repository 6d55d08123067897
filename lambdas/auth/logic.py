"""The logic of the auth service: accounts, sessions and tokens."""

import hmac
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import structs

from lambdas.auth.identity import Identity
from lambdas.auth.models import Anonymous, SessionView, SignedIn, TokenPair, User
from lambdas.auth.rate_limit import Attempt, Limit
from lambdas.auth.refresh_tokens import RefreshToken, RefreshTokens
from lambdas.auth.sessions import Account, Session, SessionStore
from lambdas.common.caller import CAPABILITIES, Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.logs import Logger
from lambdas.common.people.names import anonymous_name
from lambdas.common.people.profiles import KnownProfile
from lambdas.common.problems import Problem
from lambdas.common.web.pagination import Cursors, Page, PageQuery
from lambdas.common.web.tokens import TokenIssuer

ACCESS_LIFETIME = 15 * 60
ANONYMOUS_LIFETIME = 60 * 60
SESSION_LIFETIME = 7 * 24 * 60 * 60
"""Lifetimes in seconds, with the values from the specification. ACCESS_LIFETIME is the validity of
a registered user's access token, ANONYMOUS_LIFETIME that of an anonymous user's access token and
session, and SESSION_LIFETIME that of a registered user's session. Each refresh extends a registered
user's session to SESSION_LIFETIME again."""

REFRESH_GRACE = 10_000
"""Milliseconds after a refresh in which the old refresh token can be sent again, in case the client
did not receive the response (docs/api/auth.md).
"""

# Limits failures for each pair of a network address and an email (docs/api/auth.md).
LOGIN = Limit("login", 5, 60)
# Limits failures per user, to slow down an attacker who has a stolen access token and guesses the
# password.
CHANGE_PASSWORD = Limit("change-password", 5, 60)
# Limits failures for each pair of a network address and an email. Cognito's own limits apply only
# to existing users, so they would reveal whether an email is registered.
CONFIRM = Limit("confirm", 5, 300)
RESET_PASSWORD = Limit("reset-password", 5, 300)
# Limits calls per network address, because the routes that register an account, resend its
# confirmation code or request a password reset send emails. The registration route also reveals
# whether an email is registered. A whole office or school class may share one address.
REGISTER = Limit("register", 20, 3600)
RESEND_CONFIRMATION = Limit("resend-confirmation", 10, 3600)
FORGOT_PASSWORD = Limit("forgot-password", 10, 3600)
# Limits calls per network address, because each call stores a session for an hour.
ANONYMOUS = Limit("anonymous", 60, 3600)

_MAX_EARLIER_ROTATIONS = 100
"""Maximum length of `Session.earlier_rotations`, so that the session's item stays small."""

_ROTATION_ATTEMPTS = 3
"""Number of attempts to rotate a session. An attempt fails if a concurrent request has rotated the
session first."""


class Limiter(Protocol):
    def count(self, limit: Limit, *subject: str) -> None: ...

    def begin(self, limit: Limit, *subject: str) -> Attempt: ...

    def end(self, attempt: Attempt, *, failed: bool) -> None: ...


class Publisher(Protocol):
    def publish(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> None: ...


class Profiles(Protocol):
    def profiles(self, user_ids: Collection[str]) -> Mapping[str, KnownProfile]: ...


class AuthService:
    """The operations of the auth API (docs/api/auth.md). Methods raise Problem.

    `email` and passwords must be normalized. `address` is the client's network address.
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
        cursors: Cursors,
        events: Publisher,
        logger: Logger,
        clock: Clock = SYSTEM_CLOCK,
        account_seconds: int = 0,
    ) -> None:
        """`account_seconds` is the time for which a session caches its user's email and roles. With
        0, sessions do not cache them, and each refresh reads the user directory.
        """
        self._identity = identity
        self._profiles = profiles
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._refresh_tokens = refresh_tokens
        self._limiter = limiter
        self._cursors = cursors
        self._events = events
        self._logger = logger
        self._clock = clock
        self._account_seconds = account_seconds

    def register(self, email: str, password: str, display_name: str, *, address: str) -> User:
        self._limiter.count(REGISTER, address)
        user_id = self._identity.sign_up(email, password, display_name)
        self._events.publish(
            "UserRegistered",
            actor_id=user_id,
            data={"userId": user_id, "displayName": display_name},
        )
        # msgspec cannot encode subclasses of str, and `email` may be of class Email.
        return User(user_id=user_id, email=str(email), display_name=display_name, roles=())

    def confirm(self, email: str, code: str, *, address: str) -> None:
        with self._failures_limited(CONFIRM, address, email, counted=HTTPStatus.BAD_REQUEST):
            self._identity.confirm(email, code)

    def resend_confirmation(self, email: str, *, address: str) -> None:
        self._limiter.count(RESEND_CONFIRMATION, address)
        self._identity.resend_confirmation(email)

    def login(
        self, email: str, password: str, device: str | dict[str, str] | None, *, address: str
    ) -> SignedIn:
        with self._failures_limited(LOGIN, address, email, counted=HTTPStatus.UNAUTHORIZED):
            user = self._identity.authenticate(email, password)
        user = self._with_profile_name(user)
        session = self._new_session(user.user_id, user.display_name, SESSION_LIFETIME)
        session = self._with_cached_account(structs.replace(session, device=device), user)
        session, refresh_token = self._next_generation(session)
        self._sessions.add(session)
        self._check_again(session, email, password, address)
        self._events.publish(
            "UserLoggedIn",
            actor_id=user.user_id,
            data={"userId": user.user_id, "sessionId": session.session_id},
        )
        pair = self._issue_pair(user, refresh_token)
        return SignedIn(**structs.asdict(pair), user=user)

    def _check_again(self, session: Session, email: str, password: str, address: str) -> None:
        """Checks the password again if the user's sessions were revoked in the last minute.

        The password may have been changed after this sign-in checked the old one. The change
        revoked only sessions that existed then. If the second check raises an error, deletes the
        new session. A wrong password raises Problem 401.
        """
        if not self._sessions.were_revoked(session.user_id):
            return
        try:
            with self._failures_limited(LOGIN, address, email, counted=HTTPStatus.UNAUTHORIZED):
                self._identity.authenticate(email, password)
        except BaseException:
            self._sessions.revoke(session.session_id, session.user_id)
            raise

    def anonymous(self, *, address: str) -> Anonymous:
        self._limiter.count(ANONYMOUS, address)
        session = self._new_session(new_id(), anonymous_name(), ANONYMOUS_LIFETIME)
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
            display_name=session.display_name,
            access_token=token,
            expires_in=ANONYMOUS_LIFETIME,
            capabilities=CAPABILITIES,
        )

    def refresh(self, text: str) -> TokenPair:
        presented = self._refresh_tokens.read(text)
        if presented is None:
            raise _invalid_refresh_token()
        for _ in range(_ROTATION_ATTEMPTS):
            session = self._sessions.find(presented.session_id)
            if session is None or presented.generation > session.generation:
                raise _invalid_refresh_token()
            if presented.generation < session.generation:
                return self._repeat(session, presented)
            pair = self._rotate(session, presented)
            if pair is not None:
                return pair
        raise Problem.unavailable()

    def logout(self, caller: Caller, *, all_devices: bool) -> None:
        if all_devices:
            self._sessions.revoke_all(caller.user_id)
        # Also needed after `revoke_all`, which finds sessions in an index. If the caller's session
        # is new, the index may not contain it yet.
        self._sessions.revoke(caller.session_id, caller.user_id)
        if not caller.is_anonymous:
            self._events.publish(
                "UserLoggedOut",
                actor_id=caller.user_id,
                data={
                    "userId": caller.user_id,
                    "sessionId": caller.session_id,
                    "allDevices": all_devices,
                },
            )

    def list_sessions(self, caller: Caller, query: PageQuery) -> Page[SessionView]:
        """Returns a page of the caller's sessions, the most recently used first."""
        scope = f"auth-sessions {caller.user_id}"
        position = self._cursors.position(query, scope)
        sessions = sorted(
            self._sessions.list_for_user(caller.user_id), key=_list_position, reverse=True
        )
        if position is not None:
            sessions = [session for session in sessions if _list_position(session) < position]
        page = sessions[: query.limit]
        has_more = len(sessions) > query.limit
        views = [
            SessionView(
                session_id=session.session_id,
                device=session.device,
                created_at=session.created_at,
                last_used_at=session.last_used_at,
                current=session.session_id == caller.session_id,
            )
            for session in page
        ]
        return self._cursors.page(
            views, query, scope, _list_position(page[-1]) if has_more else None
        )

    def delete_session(self, caller: Caller, session_id: str) -> None:
        if not self._sessions.revoke(session_id, caller.user_id):
            raise Problem.not_found("You have no session with this id.")

    def me(self, caller: Caller) -> User:
        if caller.is_anonymous:
            session = self._sessions.find(caller.session_id)
            name = session.display_name if session else ""
            return User(user_id=caller.user_id, email=None, display_name=name, roles=())
        session = self._sessions.find(caller.session_id) if self._account_seconds else None
        user = (session and self._cached_user(session)) or self._identity.find(caller.user_id)
        if user is None:
            raise Problem.unauthorized(
                "This account no longer exists or is disabled.", "account_closed"
            )
        return self._with_profile_name(user)

    def change_password(self, caller: Caller, current: str, new: str) -> None:
        with self._failures_limited(
            CHANGE_PASSWORD, caller.user_id, counted=HTTPStatus.UNPROCESSABLE_ENTITY
        ):
            self._identity.change_password(caller.user_id, current, new)
        self._finish_password_change(caller.user_id, keep=caller.session_id)

    def forgot_password(self, email: str, *, address: str) -> None:
        self._limiter.count(FORGOT_PASSWORD, address)
        self._identity.send_reset_code(email)

    def reset_password(self, email: str, code: str, new: str, *, address: str) -> None:
        with self._failures_limited(RESET_PASSWORD, address, email, counted=HTTPStatus.BAD_REQUEST):
            user = self._identity.reset_password(email, code, new)
        if user is not None:
            self._finish_password_change(user.user_id)

    def _finish_password_change(self, user_id: str, keep: str | None = None) -> None:
        self._sessions.revoke_all(user_id, keep=keep)
        self._events.publish("PasswordChanged", actor_id=user_id, data={"userId": user_id})

    @contextmanager
    def _failures_limited(self, limit: Limit, *subject: str, counted: HTTPStatus) -> Iterator[None]:
        """Limits failures of the `with` block: those that raise a Problem with status `counted`."""
        attempt = self._limiter.begin(limit, *subject)
        failed = False
        try:
            yield
        except Problem as problem:
            failed = problem.status == counted
            raise
        finally:
            self._limiter.end(attempt, failed=failed)

    def _rotate(self, session: Session, presented: RefreshToken) -> TokenPair | None:
        """Issues the session's next refresh token.

        Returns None if another request rotated the session first.
        """
        if not hmac.compare_digest(presented.digest, session.refresh_hash):
            raise _invalid_refresh_token()
        # The user is read before the session is written. If the read fails, the client can send its
        # refresh token again.
        user = self._with_profile_name(self._find_user(session), session.display_name)
        rotated, refresh_token = self._next_generation(self._with_cached_account(session, user))
        rotated = structs.replace(rotated, display_name=user.display_name)
        if not self._sessions.rotate(session, rotated):
            return None
        return self._issue_pair(user, refresh_token)

    def _repeat(self, session: Session, presented: RefreshToken) -> TokenPair:
        """Returns the current refresh token again if `presented` was replaced within REFRESH_GRACE.

        If it was replaced earlier, it may have been stolen, so the session is revoked.
        """
        since = session.generation - presented.generation
        spent_at = session.rotations[-since] if since <= len(session.rotations) else 0
        if self._clock() * 1000 - spent_at > REFRESH_GRACE:
            self._sessions.revoke(session.session_id, session.user_id)
            detail = (
                "This refresh token was already used. For safety, the session has been ended. "
                "Sign in again."
            )
            raise Problem.unauthorized(detail, "refresh_token_reused")
        current = self._refresh_tokens.derive(
            session.session_id, session.generation, session.refresh_kid
        )
        if current is None:
            raise _invalid_refresh_token()
        return self._issue_pair(self._find_user(session), current)

    def _find_user(self, session: Session) -> User:
        """Returns the session's user with the roles that the next token contains.

        The roles come from the user directory, unless the session caches them.
        """
        user = self._cached_user(session) or self._identity.find(session.user_id)
        if user is None:
            self._sessions.revoke(session.session_id, session.user_id)
            raise _invalid_refresh_token()
        return user

    def _cached_user(self, session: Session) -> User | None:
        """Returns the user whose account the session caches.

        Returns None if the session caches no account, or if the data is too old.
        """
        account = session.account
        if account is None or self._clock() >= account.read_at + self._account_seconds:
            return None
        return User(
            user_id=session.user_id,
            email=account.email,
            display_name=session.display_name,
            roles=account.roles,
        )

    def _with_cached_account(self, session: Session, user: User) -> Session:
        """Returns the session, with the user's account added if sessions cache it.

        Returns it unchanged if it already contains an account that is recent enough.
        """
        if not self._account_seconds or self._cached_user(session):
            return session
        account = Account(email=user.email, roles=user.roles, read_at=int(self._clock()))
        return structs.replace(session, account=account)

    def _with_profile_name(self, user: User, previous: str = "") -> User:
        """Returns the user with the profile's name, which may differ from the account's name.

        If reading the profile fails, the name is `previous`, or the account's name if `previous` is
        empty, so that sign-in still works.
        """
        try:
            profile = self._profiles.profiles([user.user_id]).get(user.user_id)
        except (ClientError, BotoCoreError, Problem):
            self._logger.warning("reading the profile failed", user_id=user.user_id, exc_info=True)
            return structs.replace(user, display_name=previous or user.display_name)
        return structs.replace(user, display_name=profile.display_name) if profile else user

    def _new_session(self, user_id: str, display_name: str, lifetime: int) -> Session:
        now = self._clock()
        return Session(
            session_id=new_id(),
            user_id=user_id,
            created_at=timestamp(now),
            last_used_at=timestamp(now),
            expires_at=int(now) + lifetime,
            display_name=display_name,
        )

    def _next_generation(self, session: Session) -> tuple[Session, RefreshToken]:
        """Returns the session after a refresh, and its new refresh token. Stores neither."""
        token = self._refresh_tokens.derive(session.session_id, session.generation + 1)
        assert token is not None, "the newest key must exist"
        now = self._clock()
        recent = [at for at in session.rotations if now * 1000 - at <= REFRESH_GRACE]
        changed = structs.replace(
            session,
            earlier_rotations=tuple(recent[-_MAX_EARLIER_ROTATIONS:]),
            generation=token.generation,
            refresh_kid=token.kid,
            refresh_hash=token.digest,
            rotated_at=int(now * 1000),
            last_used_at=timestamp(now),
            expires_at=int(now) + SESSION_LIFETIME,
        )
        return changed, token

    def _issue_pair(self, user: User, refresh_token: RefreshToken) -> TokenPair:
        access_token = self._access_tokens.issue(
            user.user_id,
            refresh_token.session_id,
            lifetime=ACCESS_LIFETIME,
            roles=frozenset(user.roles),
            capabilities=frozenset(),
        )
        return TokenPair(
            access_token=access_token,
            refresh_token=refresh_token.text,
            token_type="Bearer",  # noqa: S106 (the name of a scheme)
            expires_in=ACCESS_LIFETIME,
        )


def _list_position(session: Session) -> list[str]:
    """Returns the position of a session in the list, for a cursor."""
    return [session.last_used_at, session.session_id]


def _invalid_refresh_token() -> Problem:
    return Problem.unauthorized(
        "The refresh token is not valid. Sign in again.", "invalid_refresh_token"
    )
