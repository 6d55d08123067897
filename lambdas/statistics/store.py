"""Stores statistics in the profiles table, and the ids of counted events."""

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.people.profiles import make_profile
from lambdas.common.storage.dynamodb import pack
from lambdas.common.storage.transactions import ConditionsFailedError, Transactions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Change(Struct, frozen=True):
    """An amount to add to one statistic."""

    statistic: str
    amount: int


class Store(Protocol):
    """Creates profiles and counts events in them."""

    def create_profile(self, user_id: str, display_name: str, joined_at: str) -> None:
        """Creates the profile if missing, and sets `joined_at` (RFC 3339) in any case."""

    def count(self, event_id: str, user_id: str, change: Change) -> None:
        """Changes a statistic once per event id. Idempotent."""


class DynamoStore:
    """Profiles in DynamoDB. `count` changes neither the version nor what the owner can edit."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        profiles_table: str,
        counted_events_table: str,
        *,
        remember_days: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`remember_days`: days for which repeated events are detected."""
        self._dynamodb = dynamodb
        self._transactions = Transactions(dynamodb)
        self._profiles = profiles_table
        self._counted = counted_events_table
        self._remember = remember_days * 86_400
        self._clock = clock

    def create_profile(self, user_id: str, display_name: str, joined_at: str) -> None:
        profile = make_profile(
            self._dynamodb,
            self._profiles,
            user_id=user_id,
            display_name=display_name,
            joined_at=joined_at,
        )
        # A profile read may have created the profile before this event arrived.
        if profile["joined_at"] != joined_at:
            self._dynamodb.update_item(
                TableName=self._profiles,
                Key=pack({"user_id": user_id}),
                UpdateExpression="SET joined_at = :joined_at",
                ExpressionAttributeValues=pack({":joined_at": joined_at}),
            )

    def count(self, event_id: str, user_id: str, change: Change) -> None:
        expires_at = int(self._clock()) + self._remember
        counted: dict[str, Any] = {
            "TableName": self._counted,
            "Item": pack({"event_id": event_id, "expires_at": expires_at}),
            "ConditionExpression": "attribute_not_exists(event_id)",
        }
        addition: dict[str, Any] = {
            "TableName": self._profiles,
            "Key": pack({"user_id": user_id}),
            "UpdateExpression": "ADD #statistic :amount",
            "ExpressionAttributeNames": {"#statistic": change.statistic},
            "ExpressionAttributeValues": pack({":amount": change.amount}),
        }
        try:
            self._transactions.write([{"Put": counted}, {"Update": addition}])
        except ConditionsFailedError:
            return  # already counted
