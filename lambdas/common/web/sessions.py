"""The one question every service asks the sessions table."""

from typing import TYPE_CHECKING

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ActiveSession(Struct, frozen=True):
    """What services need to know of a session that is alive; `display_name` is "" in sessions older than the attribute."""

    display_name: str = ""


class SessionReader:
    """Reads the sessions table, consistently: a session revoked a moment ago must not pass."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def find(self, session_id: str, user_id: str) -> ActiveSession | None:
        """The session if it exists, is this user's and has not ended (TTL deletes late, so its time is compared)."""
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
