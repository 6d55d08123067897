"""Stores who wrote each anonymous post, comment or message. Only the authors table contains this.

Services read the table only to compare the author with a caller who edits, deletes or comments on
an item. They never read it for lists, views, statistics, events or logs.
"""

from typing import TYPE_CHECKING

from lambdas.common.storage.dynamodb import Entry, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AuthorStore:
    """Stores the real authors of anonymous items by item id, which is unique across services."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def build_put(self, item_id: str, user_id: str) -> Entry:
        """Returns the entry that stores an item's author.

        Write it in the same transaction as the item.
        """
        return self._table.build_put({"item_id": item_id, "user_id": user_id})

    def build_delete(self, item_id: str) -> Entry:
        """Returns the entry that deletes an item's author.

        Write it in the same transaction as the item.
        """
        return self._table.build_delete({"item_id": item_id})

    def author_of(self, item_id: str) -> str | None:
        """Returns the user id of an anonymous item's real author.

        Returns None if the item is not anonymous or does not exist.
        """
        item = self._table.get({"item_id": item_id})
        return item["user_id"] if item else None
