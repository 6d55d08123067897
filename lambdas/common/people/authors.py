"""The users behind anonymous posts, comments and messages. Only this table stores them.

It is read only for an owner's edits and for moderation (API contract, Anonymity), never for lists,
views, statistics, events or logs.
"""

from typing import TYPE_CHECKING, Any

from lambdas.common.storage.dynamodb import pack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AuthorStore:
    """Stores the real author by item id (unique across services). Public items have no entry."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def put_item_entry(self, item_id: str, user_id: str) -> dict[str, Any]:
        """Returns the entry that stores the author, for the transaction that stores the item."""
        return {
            "Put": {
                "TableName": self._table,
                "Item": pack({"item_id": item_id, "user_id": user_id}),
            }
        }

    def delete_item_entry(self, item_id: str) -> dict[str, Any]:
        """Returns the entry that deletes the author, for the transaction that deletes the item."""
        return {"Delete": {"TableName": self._table, "Key": pack({"item_id": item_id})}}

    def author_of(self, item_id: str) -> str | None:
        """Returns the author's user id, or None if the item is public or does not exist."""
        item = self._dynamodb.get_item(
            TableName=self._table, Key=pack({"item_id": item_id}), ConsistentRead=True
        ).get("Item")
        return item["user_id"]["S"] if item else None
