"""An auth service without AWS."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools.logging import Logger
from msgspec import structs

from lambdas.auth.logic import AuthService
from lambdas.auth.models import User
from lambdas.auth.rate_limit import Attempt, Limit
from lambdas.auth.refresh_tokens import RefreshTokens
from lambdas.auth.sessions import Session
from lambdas.common.people.profiles import KnownProfile, PersonalPrivacy
from lambdas.common.problems import FieldError, Problem
from lambdas.common.signing.keys import KeyRing
from lambdas.common.web.pagination import Cursors
from lambdas.common.web.tokens import TokenIssuer, TokenVerifier
from tests.lambdas.support import FakeClock, FakeKeys


class FakeIdentity:
    """Users by email, all confirmed. The valid code is always "000000"."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.passwords: dict[str, str] = {}
        self.mails: list[str] = []

    def add(self, email: str, password: str, *roles: str) -> User:
        user = User(user_id=f"id-{email}", email=email, display_name="Ann", roles=("user", *roles))
        self.users[email], self.passwords[email] = user, password
        return user

    def sign_up(self, email: str, password: str, display_name: str) -> str:
        if email in self.users:
            raise Problem.conflict("The email address is taken", "email_taken")
        return self.add(email, password).user_id

    def confirm(self, email: str, code: str) -> None:
        if email not in self.users or code != "000000":
            raise Problem.bad_request("The code is wrong", "invalid_code")

    def resend_confirmation(self, email: str) -> None:
        self.mails.append(email)

    def authenticate(self, email: str, password: str) -> User:
        if self.passwords.get(email) != password:
            raise Problem.unauthorized()
        return self.users[email]

    def find(self, username: str) -> User | None:
        return next((user for user in self.users.values() if user.user_id == username), None)

    def change_password(self, user_id: str, current: str, new: str) -> None:
        user = self.find(user_id)
        assert user is not None
        assert user.email is not None
        if self.passwords[user.email] != current:
            raise Problem.invalid([FieldError("currentPassword", "is wrong")])
        self.passwords[user.email] = new

    def send_reset_code(self, email: str) -> None:
        self.mails.append(email)

    def reset_password(self, email: str, code: str, new: str) -> User | None:
        self.confirm(email, code)
        self.passwords[email] = new
        return self.users[email]


class MemorySessions:
    """Sessions by id. Calls `before_rotation` once, immediately before the next rotation."""

    def __init__(self, clock: FakeClock) -> None:
        self.items: dict[str, Session] = {}
        self.revoked: set[str] = set()
        self.before_rotation: Any = None
        self._clock = clock

    def add(self, session: Session) -> None:
        self.items[session.session_id] = session

    def find(self, session_id: str) -> Session | None:
        session = self.items.get(session_id)
        return session if session and session.expires_at > self._clock() else None

    def list_for_user(self, user_id: str) -> list[Session]:
        return [
            s for s in self.items.values() if s.user_id == user_id and s.expires_at > self._clock()
        ]

    def rotate(self, before: Session, after: Session) -> bool:
        if self.before_rotation:
            hook, self.before_rotation = self.before_rotation, None
            hook()
        current = self.items.get(before.session_id)
        if current is None or current.generation != before.generation:
            return False
        self.items[before.session_id] = after
        return True

    def revoke(self, session_id: str, user_id: str) -> bool:
        session = self.items.get(session_id)
        if session is None or session.user_id != user_id:
            return False
        del self.items[session_id]
        return True

    def revoke_all(self, user_id: str, keep: str | None = None) -> None:
        self.items = {i: s for i, s in self.items.items() if s.user_id != user_id or i == keep}
        self.revoked.add(user_id)

    def were_revoked(self, user_id: str) -> bool:
        return user_id in self.revoked


class FakeLimiter:
    """Counts failed attempts, without a window of time after which they no longer count."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, limit: Limit, *subject: str) -> None:
        self.end(self.begin(limit, *subject), failed=True)

    def begin(self, limit: Limit, *subject: str) -> Attempt:
        key = "#".join((limit.name, *subject))
        if self.counts.get(key, 0) >= limit.attempts:
            raise Problem.too_many_requests(60)
        return Attempt(limit, key, 0)

    def end(self, attempt: Attempt, *, failed: bool) -> None:
        self.counts[attempt.key] = self.counts.get(attempt.key, 0) + failed


class FakeProfiles:
    """Names by user id. Reading raises `failure` if it is set."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.failure: Exception | None = None

    def profiles(self, user_ids: Collection[str]) -> dict[str, KnownProfile]:
        if self.failure:
            raise self.failure
        return {
            user_id: KnownProfile(
                user_id=user_id, display_name=name, visibility="private", personal=PersonalPrivacy()
            )
            for user_id, name in self.names.items()
            if user_id in user_ids
        }


@dataclass
class FakeEvents:
    published: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def publish(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> None:
        self.published.append((event_type, actor_id, data))

    @property
    def types(self) -> list[str]:
        return [event_type for event_type, _, _ in self.published]


class World:
    """An auth service, and the fakes that it uses."""

    def __init__(self, account_seconds: int = 0) -> None:
        self.clock = FakeClock()
        self.keys = FakeKeys()
        self.identity = FakeIdentity()
        self.profiles = FakeProfiles()
        self.sessions = MemorySessions(self.clock)
        self.limiter = FakeLimiter()
        self.events = FakeEvents()
        ring = KeyRing(self.keys, self.clock)
        self.tokens = TokenVerifier(ring, self.clock)
        self.service = AuthService(
            identity=self.identity,
            profiles=self.profiles,
            sessions=self.sessions,
            access_tokens=TokenIssuer(ring, self.clock),
            refresh_tokens=RefreshTokens(ring),
            limiter=self.limiter,
            cursors=Cursors(ring),
            events=self.events,
            logger=Logger(service="auth-fakes"),
            clock=self.clock,
            account_seconds=account_seconds,
        )

    def session(self, session_id: str) -> Session:
        return self.sessions.items[session_id]

    def change(self, session_id: str, **changes: Any) -> None:
        self.sessions.items[session_id] = structs.replace(
            self.sessions.items[session_id], **changes
        )
