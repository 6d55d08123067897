"""Reads active sessions for the services."""

from typing import TYPE_CHECKING

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ActiveSession(Struct, frozen=True):
    """An active session. `display_name` is "" in sessions stored before the attribute existed."""

    display_name: str = ""


class SessionReader:
    """Reads the sessions table consistently, so that a revoked session is rejected immediately."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def find(self, session_id: str, user_id: str) -> ActiveSession | None:
        """Returns the user's session, or None if it does not exist or has expired.

        Expiry is compared here because DynamoDB's TTL deletes items late.
        """
        item = self._dynamodb.get_item(
            TableName=self._table,
            Key={"session_id": {"S": session_id}},
            ConsistentRead=True,
            ProjectionExpression="user_id, expires_at, display_name",
        ).get("Item")
        if (
            item is None
            or item["user_id"]["S"] != user_id
            or int(item["expires_at"]["N"]) <= self._clock()
        ):
            return None
        return ActiveSession(item["display_name"]["S"] if "display_name" in item else "")
