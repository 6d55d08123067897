"""Who stands behind an anonymous post, comment or message: the only table that knows.

Nothing reads it but an owner's own edits and moderation (API contract, Anonymity): no list, view, statistic, event or log does.
"""

from typing import TYPE_CHECKING, Any

from lambdas.common.storage.dynamodb import pack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AuthorStore:
    """The true authors by the item's id; ids are unique across services. Public items have no entry."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def put_item_entry(self, item_id: str, user_id: str) -> dict[str, Any]:
        """The entry for TransactWriteItems that keeps the author, in the transaction that stores the item itself."""
        return {
            "Put": {
                "TableName": self._table,
                "Item": pack({"item_id": item_id, "user_id": user_id}),
            }
        }

    def delete_item_entry(self, item_id: str) -> dict[str, Any]:
        """The entry for TransactWriteItems that forgets the author, in the transaction that removes the item."""
        return {"Delete": {"TableName": self._table, "Key": pack({"item_id": item_id})}}

    def author_of(self, item_id: str) -> str | None:
        """The user id of the anonymous item's author; None where there is no such item or it is public."""
        item = self._dynamodb.get_item(
            TableName=self._table, Key=pack({"item_id": item_id}), ConsistentRead=True
        ).get("Item")
        return item["user_id"]["S"] if item else None
