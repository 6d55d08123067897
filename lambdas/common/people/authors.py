"""The users behind anonymous posts, comments and messages. Only this table stores them.

It is read only for an owner's edits and for moderation (API contract, Anonymity), never for lists,
views, statistics, events or logs.
"""

from typing import TYPE_CHECKING

from lambdas.common.storage.dynamodb import Entry, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AuthorStore:
    """Stores the real author by item id (unique across services). Public items have no entry."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def build_put(self, item_id: str, user_id: str) -> Entry:
        """Returns the entry that stores the author, for the transaction that stores the item."""
        return self._table.build_put({"item_id": item_id, "user_id": user_id})

    def build_delete(self, item_id: str) -> Entry:
        """Returns the entry that deletes the author, for the transaction that deletes the item."""
        return self._table.build_delete({"item_id": item_id})

    def author_of(self, item_id: str) -> str | None:
        """Returns the author's user id, or None if the item is public or does not exist."""
        item = self._table.get({"item_id": item_id})
        return item["user_id"] if item else None
