"""The one question every service asks the sessions table."""

from typing import TYPE_CHECKING

from lambdas.common.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class SessionReader:
    """Reads the sessions table, consistently: a session revoked a moment ago must not pass."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def is_active(self, session_id: str, user_id: str) -> bool:
        """Whether the session exists, is this user's and has not ended (TTL deletes late, so its time is compared)."""
        item = self._dynamodb.get_item(
            TableName=self._table,
            Key={"session_id": {"S": session_id}},
            ConsistentRead=True,
            ProjectionExpression="user_id, expires_at",
        ).get("Item")
        return item is not None and item["user_id"]["S"] == user_id and int(item["expires_at"]["N"]) > self._clock()
