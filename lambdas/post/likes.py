"""Likes and the counters of posts. Counters are exact, because both change in one transaction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from lambdas.common.storage.dynamodb import batch_delete, batch_get, pack, unpack
from lambdas.common.storage.transactions import ConditionsFailedError, Entry, Transactions
from lambdas.post.posts import DeletedError, DynamoPostStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Engagement(Struct, frozen=True):
    """The counters of a post, and whether the caller likes it."""

    likes: int = 0
    comments: int = 0
    liked: bool = False


NOTHING = Engagement()


class LikeStore(Protocol):
    """Stores likes and reads counters."""

    def add(self, post_id: str, user_id: str, event: Entry) -> bool:
        """Adds a like. Returns False if it exists already. Raises DeletedError."""

    def remove(self, post_id: str, user_id: str, event: Entry) -> bool:
        """Deletes a like. Returns False if there was none. Raises DeletedError."""

    def engagement(self, post_ids: Sequence[str], user_id: str | None) -> dict[str, Engagement]:
        """Returns the engagement of each post. `user_id` is None for a caller who cannot like."""


class DynamoLikeStore:
    """Likes and counters in DynamoDB. A counter without an item is 0."""

    def __init__(
        self, dynamodb: "DynamoDBClient", *, likes: str, counters: str, posts: DynamoPostStore
    ) -> None:
        self._dynamodb = dynamodb
        self._transactions = Transactions(dynamodb)
        self._likes = likes
        self._counters = counters
        self._posts = posts

    def add(self, post_id: str, user_id: str, event: Entry) -> bool:
        put = {
            "TableName": self._likes,
            "Item": pack(_key(post_id, user_id)),
            "ConditionExpression": "attribute_not_exists(post_id)",
        }
        return self._change(post_id, {"Put": put}, +1, event)

    def remove(self, post_id: str, user_id: str, event: Entry) -> bool:
        delete = {
            "TableName": self._likes,
            "Key": pack(_key(post_id, user_id)),
            "ConditionExpression": "attribute_exists(post_id)",
        }
        return self._change(post_id, {"Delete": delete}, -1, event)

    def engagement(self, post_ids: Sequence[str], user_id: str | None) -> dict[str, Engagement]:
        counted = batch_get(
            self._dynamodb,
            self._counters,
            [{"item_id": post_id} for post_id in post_ids],
            ("item_id", "likes", "comments"),
            consistent=True,
        )
        liked: list[dict[str, Any]] = []
        if user_id is not None:
            keys = [_key(post_id, user_id) for post_id in post_ids]
            liked = batch_get(self._dynamodb, self._likes, keys, ("post_id",), consistent=True)
        counts = {item["item_id"]: item for item in counted}
        liked_ids = {item["post_id"] for item in liked}
        return {
            post_id: Engagement(
                counts.get(post_id, {}).get("likes", 0),
                counts.get(post_id, {}).get("comments", 0),
                post_id in liked_ids,
            )
            for post_id in post_ids
        }

    def remove_all(self, post_id: str) -> None:
        """Deletes the likes of a deleted post. The read is consistent, and no like can be added."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._likes,
            ConsistentRead=True,
            KeyConditionExpression="post_id = :post_id",
            ExpressionAttributeValues=pack({":post_id": post_id}),
            ProjectionExpression="post_id, user_id",
        )
        for page in pages:
            batch_delete(self._dynamodb, self._likes, [unpack(item) for item in page["Items"]])

    def remove_counters(self, post_id: str) -> None:
        """Deletes the counters of a deleted post. Must follow the removal of its comments."""
        batch_delete(self._dynamodb, self._counters, [{"item_id": post_id}])

    def _change(self, post_id: str, like: Entry, step: int, event: Entry) -> bool:
        count = count_entry(self._counters, post_id, "likes", step)
        try:
            self._transactions.write([self._posts.alive(post_id), like, count, event])
        except ConditionsFailedError as error:
            if 0 in error.entries:
                raise DeletedError from None
            return False
        return True


def count_entry(table: str, item_id: str, counter: str, step: int) -> Entry:
    """Returns the transaction entry that adds `step` to a counter."""
    update = {
        "TableName": table,
        "Key": pack({"item_id": item_id}),
        "UpdateExpression": "ADD #counter :step",
        "ExpressionAttributeNames": {"#counter": counter},
        "ExpressionAttributeValues": pack({":step": step}),
    }
    return {"Update": update}


def _key(post_id: str, user_id: str) -> dict[str, str]:
    return {"post_id": post_id, "user_id": user_id}
