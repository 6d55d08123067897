"""Reads and writes the profiles table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import convert, structs, to_builtins

from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.profiles import make_profile
from lambdas.common.storage.dynamodb import Table, succeeds
from lambdas.common.storage.transactions import Transactions
from lambdas.profile.models import Profile

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ProfileStore(Protocol):
    def find(self, user_id: str) -> Profile | None:
        """Returns the user's profile, or None if it does not exist yet."""

    def create(self, user_id: str, display_name: str, joined_at: str) -> Profile:
        """Returns the user's profile. Creates it from these values if it does not exist."""

    def replace(
        self, before: Profile, after: Profile, event_type: str, data: Mapping[str, Any]
    ) -> bool:
        """Writes the changed attributes and the event in one transaction.

        Returns False if the stored version differs from the version of `before`. Never writes
        statistics.
        """


class DynamoProfileStore:
    """Profiles in DynamoDB: one item per user. The statistics function writes the counters."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, outbox: OutboxWriter) -> None:
        self._table = Table(dynamodb, table)
        self._outbox = outbox
        self._transactions = Transactions(dynamodb)

    def find(self, user_id: str) -> Profile | None:
        item = self._table.get({"user_id": user_id})
        # The statistics function may write counters before the profile exists. The item then has no
        # version.
        return convert(item, Profile) if item and "version" in item else None

    def create(self, user_id: str, display_name: str, joined_at: str) -> Profile:
        item = make_profile(
            self._table, user_id=user_id, display_name=display_name, joined_at=joined_at
        )
        return convert(item, Profile)

    def replace(
        self, before: Profile, after: Profile, event_type: str, data: Mapping[str, Any]
    ) -> bool:
        assert before.version < after.version, "the changed profile has no new version"
        changes = {
            name: to_builtins(value)
            for name, value in structs.asdict(after).items()
            if value != getattr(before, name)
        }
        update = self._table.build_update(
            {"user_id": before.user_id},
            "SET " + ", ".join(f"#{name} = :{name}" for name in changes),
            condition="#version = :before",
            names={f"#{name}": name for name in changes},
            values={":before": before.version, **{f":{n}": v for n, v in changes.items()}},
        )
        event = self._outbox.put(event_type, actor_id=before.user_id, data=data)
        return succeeds(lambda: self._transactions.write({"profile": update, "event": event}))
