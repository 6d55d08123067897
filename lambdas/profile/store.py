"""The profiles table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import convert, structs, to_builtins

from lambdas.common.messaging.outbox import Outbox
from lambdas.common.people.profiles import make_profile
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.common.storage.transactions import ConditionsFailedError, Transactions
from lambdas.profile.models import Profile

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ProfileStore(Protocol):
    """What the logic needs of the profiles."""

    def find(self, user_id: str) -> Profile | None:
        """The user's profile, None until it is made."""

    def make(self, user_id: str, display_name: str, joined_at: str) -> Profile:
        """The user's profile, made of these values if there is none yet."""

    def replace(
        self, before: Profile, after: Profile, event_type: str, data: Mapping[str, Any]
    ) -> bool:
        """Writes what differs, together with the event that tells of it, unless the profile's version is no longer that of `before`;
        tells whether it did. Statistics are never written."""


class DynamoProfileStore:
    """Profiles in DynamoDB: one item each, to which the consumer of events adds statistics."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, outbox: Outbox) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._outbox = outbox
        self._transactions = Transactions(dynamodb)

    def find(self, user_id: str) -> Profile | None:
        item = self._dynamodb.get_item(
            TableName=self._table, Key=pack({"user_id": user_id}), ConsistentRead=True
        ).get("Item")
        # Statistics may have come first: an item without a version is no profile yet.
        return convert(unpack(item), Profile) if item and "version" in item else None

    def make(self, user_id: str, display_name: str, joined_at: str) -> Profile:
        item = make_profile(
            self._dynamodb,
            self._table,
            user_id=user_id,
            display_name=display_name,
            joined_at=joined_at,
        )
        return convert(item, Profile)

    def replace(
        self, before: Profile, after: Profile, event_type: str, data: Mapping[str, Any]
    ) -> bool:
        assert before.version < after.version, "a change has a version of its own"
        was = structs.asdict(before)
        changes = {
            name: value for name, value in structs.asdict(after).items() if value != was[name]
        }
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": pack({"user_id": before.user_id}),
            "ConditionExpression": "#version = :before",
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in changes),
            "ExpressionAttributeNames": {f"#{name}": name for name in changes},
            "ExpressionAttributeValues": pack(
                {
                    ":before": before.version,
                    **{f":{name}": to_builtins(value) for name, value in changes.items()},
                }
            ),
        }
        event = self._outbox.put(event_type, actor_id=before.user_id, data=data)
        try:
            self._transactions.write([{"Update": update}, event])
        except ConditionsFailedError:
            return False
        return True
