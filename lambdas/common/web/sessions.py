"""Reads active sessions for the services."""

from typing import TYPE_CHECKING

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.storage.dynamodb import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ActiveSession(Struct, frozen=True):
    """An active session. `display_name` is "" if the stored session has no such attribute."""

    display_name: str = ""


class SessionReader:
    """Reads the sessions table consistently, so that a revoked session is rejected immediately."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock

    def find(self, session_id: str, user_id: str) -> ActiveSession | None:
        """Returns the user's session, or None if it does not exist or has expired.

        The expiry is checked because DynamoDB's TTL deletes items late.
        """
        attributes = ("user_id", "expires_at", "display_name")
        item = self._table.get({"session_id": session_id}, attributes)
        if item is None or item["user_id"] != user_id or item["expires_at"] <= self._clock():
            return None
        return ActiveSession(item.get("display_name", ""))
