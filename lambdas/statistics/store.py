"""Stores statistics in the profiles table, and the ids of events that were counted."""

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.people.profiles import make_profile
from lambdas.common.storage.dynamodb import ConditionFailedError, Table
from lambdas.common.storage.transactions import Transactions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Change(Struct, frozen=True):
    """An amount to add to one statistic."""

    statistic: str
    amount: int


class StatisticsStore:
    """Changes statistics in profiles, but never versions or fields that owners can edit."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        profiles_table: str,
        counted_events_table: str,
        *,
        remember_days: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`remember_days` is the number of days for which repeated events are detected."""
        self._transactions = Transactions(dynamodb)
        self._profiles = Table(dynamodb, profiles_table)
        self._counted = Table(dynamodb, counted_events_table)
        self._remember = remember_days * 86_400
        self._clock = clock

    def create_profile(self, user_id: str, display_name: str, joined_at: str) -> None:
        """Creates the profile if it does not exist, and always sets `joined_at` (RFC 3339)."""
        profile = make_profile(
            self._profiles, user_id=user_id, display_name=display_name, joined_at=joined_at
        )
        # The profile service may have created the profile before this event arrived.
        if profile["joined_at"] != joined_at:
            self._profiles.update(
                {"user_id": user_id},
                "SET joined_at = :joined_at",
                values={":joined_at": joined_at},
            )

    def count(self, event_id: str, user_id: str, change: Change) -> None:
        """Changes a statistic once per event id. Idempotent."""
        expires_at = int(self._clock()) + self._remember
        counted = self._counted.build_put(
            {"event_id": event_id, "expires_at": expires_at},
            condition="attribute_not_exists(event_id)",
        )
        addition = self._profiles.build_update(
            {"user_id": user_id},
            "ADD #statistic :amount",
            names={"#statistic": change.statistic},
            values={":amount": change.amount},
        )
        # A failed condition means that the event was counted already.
        with suppress(ConditionFailedError):
            self._transactions.write({"event": counted, "statistic": addition})
