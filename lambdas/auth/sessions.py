"""The sessions table: one item per sign-in. Deleting the item revokes the session."""

import time
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, convert, structs, to_builtins

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.storage.dynamodb import Table, succeeds
from lambdas.common.storage.retries import Sleep

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

USER_INDEX = "user-id-index"

INDEX_DELAY = 0.1
"""Seconds after which `revoke_all` reads the index of sessions by user a second time. The index
receives new sessions a few milliseconds late."""

REVOCATION_LIFETIME = 60
"""Seconds for which `revoke_all` is recorded. It exceeds the 30 s that a login can take."""


class Account(Struct, frozen=True, kw_only=True):
    """A copy of a user's data in the user directory.

    `read_at` is the time when the copy was made, in seconds since the epoch.
    """

    email: str | None
    roles: tuple[str, ...]
    read_at: int


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The session of a user who signed in. An anonymous user's session has no refresh token.

    `display_name` is the account's name, or the generated name of an anonymous user.
    `created_at` and `last_used_at` are RFC 3339. `expires_at` is in seconds since the epoch. Each
    refresh is a rotation: it increments `generation`, and issues a new refresh token.
    `refresh_hash` is the token's hash, and `refresh_kid` is the id of the key that signed it.
    `rotated_at` is the time of the last rotation. `earlier_rotations` contains the times of up to
    100 rotations in the 10 seconds before `rotated_at`. All times of rotations are in milliseconds
    since the epoch. `account` is set if sessions cache their users' accounts.
    """

    session_id: str
    user_id: str
    created_at: str
    last_used_at: str
    expires_at: int
    device: str | dict[str, str] | None = None
    display_name: str = ""
    generation: int = 0
    refresh_kid: int = 0
    refresh_hash: str = ""
    rotated_at: int = 0
    earlier_rotations: tuple[int, ...] = ()
    account: Account | None = None

    @property
    def rotations(self) -> tuple[int, ...]:
        """The times of the latest rotations, the oldest first."""
        return (*self.earlier_rotations, self.rotated_at)


class SessionStore(Protocol):
    """Stores sessions. Methods do not return expired sessions."""

    def add(self, session: Session) -> None: ...

    def find(self, session_id: str) -> Session | None: ...

    def list_for_user(self, user_id: str) -> list[Session]: ...

    def rotate(self, before: Session, after: Session) -> bool:
        """Replaces the session, unless it was rotated or revoked since it was read.

        Returns True if it was replaced.
        """

    def revoke(self, session_id: str, user_id: str) -> bool:
        """Deletes the session if it belongs to this user. Returns True if it was deleted."""

    def revoke_all(self, user_id: str, keep: str | None = None) -> None:
        """Deletes the user's sessions except `keep`. Raises Problem 503 if some remain."""

    def were_revoked(self, user_id: str) -> bool:
        """Returns True if `revoke_all` was called for this user in the last REVOCATION_LIFETIME
        seconds."""


class DynamoSessionStore:
    """Sessions in DynamoDB. The index by user receives changes a few milliseconds late."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock
        self._sleep = sleep

    def add(self, session: Session) -> None:
        self._table.put(to_builtins(session))

    def find(self, session_id: str) -> Session | None:
        item = self._table.get(_key(session_id))
        session = convert(item, Session) if item else None
        return session if session and session.expires_at > self._clock() else None

    def list_for_user(self, user_id: str) -> list[Session]:
        items = self._table.query("user_id = :user_id", {":user_id": user_id}, index=USER_INDEX)
        sessions = (convert(item, Session) for item in items)
        return [session for session in sessions if session.expires_at > self._clock()]

    def rotate(self, before: Session, after: Session) -> bool:
        changes = {
            f: to_builtins(v) for f, v in structs.asdict(after).items() if v != getattr(before, f)
        }
        return succeeds(
            lambda: self._table.update(
                _key(before.session_id),
                "SET " + ", ".join(f"{name} = :{name}" for name in changes),
                # A deleted item has no generation, so the write cannot recreate a revoked session.
                condition="generation = :before",
                values={":before": before.generation, **{f":{n}": v for n, v in changes.items()}},
            )
        )

    def revoke(self, session_id: str, user_id: str) -> bool:
        return succeeds(
            lambda: self._table.delete(
                _key(session_id),
                condition="user_id = :user_id AND expires_at > :now",
                values={":user_id": user_id, ":now": int(self._clock())},
            )
        )

    def revoke_all(self, user_id: str, keep: str | None = None) -> None:
        # The revocation is written before the index is read. A concurrent login either finds the
        # revocation, or has already stored its session in the index.
        expires_at = int(self._clock()) + REVOCATION_LIFETIME
        self._table.put({**_revocation_key(user_id), "expires_at": expires_at})
        self._delete_listed(user_id, keep)
        self._sleep(INDEX_DELAY)
        self._delete_listed(user_id, keep)

    def were_revoked(self, user_id: str) -> bool:
        revocation = self._table.get(_revocation_key(user_id))
        return revocation is not None and revocation["expires_at"] > self._clock()

    def _delete_listed(self, user_id: str, keep: str | None) -> None:
        ids = (session.session_id for session in self.list_for_user(user_id))
        self._table.delete_many(_key(id_) for id_ in ids if id_ != keep)


def _revocation_key(user_id: str) -> dict[str, str]:
    # The record of a revocation has no `user_id`, so the index of sessions by user omits it.
    return {"session_id": f"revocation#{user_id}"}


def _key(session_id: str) -> dict[str, str]:
    return {"session_id": session_id}
