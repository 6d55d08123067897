"""The sessions table: one item per sign-in. Deleting the item revokes the session."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError
from msgspec import Struct, convert, structs, to_builtins

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.storage.dynamodb import batch_delete, condition_failed, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

USER_INDEX = "user-id-index"


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The session of a user who signed in. An anonymous user's session has no refresh token.

    `display_name` is the account's name, or the generated name of an anonymous user.
    `created_at` and `last_used_at` are RFC 3339. `expires_at` is in seconds since the epoch,
    `rotated_at` in milliseconds since the epoch. `refresh_hash` is the hash of the refresh token of
    this `generation`, derived with the key `refresh_kid`.
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


class SessionStore(Protocol):
    """Stores sessions. Expired sessions count as missing."""

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


class DynamoSessionStore:
    """Sessions in DynamoDB. An index finds a user's sessions; it lags a few milliseconds."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._dynamodb = dynamodb
        self._sleep = sleep
        self._table = table
        self._clock = clock

    def add(self, session: Session) -> None:
        self._dynamodb.put_item(TableName=self._table, Item=pack(to_builtins(session)))

    def find(self, session_id: str) -> Session | None:
        item = self._dynamodb.get_item(
            TableName=self._table, Key=_key(session_id), ConsistentRead=True
        ).get("Item")
        session = convert(unpack(item), Session) if item else None
        return session if session and session.expires_at > self._clock() else None

    def list_for_user(self, user_id: str) -> list[Session]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=USER_INDEX,
            KeyConditionExpression="user_id = :user_id",
            ExpressionAttributeValues=pack({":user_id": user_id}),
        )
        sessions = [convert(unpack(item), Session) for page in pages for item in page["Items"]]
        return [session for session in sessions if session.expires_at > self._clock()]

    def rotate(self, before: Session, after: Session) -> bool:
        changes = {f: v for f, v in structs.asdict(after).items() if v != getattr(before, f)}
        return self._write_if(
            self._dynamodb.update_item,
            before.session_id,
            # A deleted item has no generation, so this cannot recreate a revoked session.
            ConditionExpression="generation = :before",
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in changes),
            ExpressionAttributeValues=pack(
                {":before": before.generation, **{f":{n}": v for n, v in changes.items()}}
            ),
        )

    def revoke(self, session_id: str, user_id: str) -> bool:
        return self._write_if(
            self._dynamodb.delete_item,
            session_id,
            ConditionExpression="user_id = :user_id AND expires_at > :now",
            ExpressionAttributeValues=pack({":user_id": user_id, ":now": int(self._clock())}),
        )

    def revoke_all(self, user_id: str, keep: str | None = None) -> None:
        ids = [
            session.session_id
            for session in self.list_for_user(user_id)
            if session.session_id != keep
        ]
        batch_delete(
            self._dynamodb, self._table, [{"session_id": i} for i in ids], sleep=self._sleep
        )

    def _write_if(self, write: Any, session_id: str, **arguments: Any) -> bool:
        try:
            write(TableName=self._table, Key=_key(session_id), **arguments)
        except ClientError as error:
            if condition_failed(error):
                return False
            raise
        return True


def _key(session_id: str) -> dict[str, Any]:
    return pack({"session_id": session_id})
