"""Likes and the counters of posts. A like and its counter change in one transaction."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from lambdas.common.storage.dynamodb import ConditionFailedError, Entry, Item, Table
from lambdas.common.storage.transactions import Transactions
from lambdas.post.posts import DynamoPostStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Engagement(Struct, frozen=True):
    """The counters of a post, and whether the caller likes it."""

    likes: int = 0
    comments: int = 0
    liked: bool = False


NO_ENGAGEMENT = Engagement()


class LikeStore(Protocol):
    """Stores likes and reads counters."""

    def add(self, post_id: str, user_id: str, event: Entry) -> bool:
        """Adds a user's like of a post. Returns False if it exists already. Raises DeletedError if
        the post was deleted.
        """

    def remove(self, post_id: str, user_id: str, event: Entry) -> bool:
        """Deletes a user's like of a post. Returns False if it does not exist. Raises DeletedError
        if the post was deleted.
        """

    def read_engagement(
        self, post_ids: Sequence[str], user_id: str | None
    ) -> dict[str, Engagement]:
        """Returns the counters of each post, and whether the user, if any, likes the post."""


class DynamoLikeStore:
    """Likes and counters in DynamoDB. A counter without an item is 0."""

    def __init__(
        self, dynamodb: "DynamoDBClient", *, likes: str, counters: str, posts: DynamoPostStore
    ) -> None:
        self._transactions = Transactions(dynamodb)
        self._likes = Table(dynamodb, likes)
        self._counters = Table(dynamodb, counters)
        self._posts = posts

    def add(self, post_id: str, user_id: str, event: Entry) -> bool:
        condition = "attribute_not_exists(post_id)"
        put = self._likes.build_put(_key(post_id, user_id), condition=condition)
        return self._change(post_id, put, +1, event)

    def remove(self, post_id: str, user_id: str, event: Entry) -> bool:
        condition = "attribute_exists(post_id)"
        delete = self._likes.build_delete(_key(post_id, user_id), condition=condition)
        return self._change(post_id, delete, -1, event)

    def read_engagement(
        self, post_ids: Sequence[str], user_id: str | None
    ) -> dict[str, Engagement]:
        keys = [{"item_id": post_id} for post_id in post_ids]
        counters = self._counters.get_many(keys, ("likes", "comments"))
        likes: list[Item | None] = [None] * len(post_ids)
        if user_id is not None:
            likes = self._likes.get_many([_key(post_id, user_id) for post_id in post_ids])
        return {
            post_id: Engagement(
                (counts or {}).get("likes", 0), (counts or {}).get("comments", 0), like is not None
            )
            for post_id, counts, like in zip(post_ids, counters, likes, strict=True)
        }

    def remove_all(self, post_id: str) -> None:
        """Deletes the likes of a deleted post.

        No request can add a like during the deletion, because a deleted post cannot be liked.
        """
        likes = self._likes.query(
            "post_id = :post_id",
            {":post_id": post_id},
            attributes=("post_id", "user_id"),
            consistent=True,
        )
        self._likes.delete_many(likes)

    def count_removed(self, post_id: str, event_of: Callable[[int], Entry]) -> None:
        """Clears a deleted post's number of likes, and stores the event that reports the number.

        Idempotent.
        """
        counters = self._counters.get({"item_id": post_id}) or {}
        likes = counters.get("likes", 0)
        if likes <= 0:
            return
        clear = self._counters.build_update(
            {"item_id": post_id},
            "REMOVE likes",
            condition="likes = :likes",
            values={":likes": likes},
        )
        # If the condition fails, another attempt has already stored the event.
        with suppress(ConditionFailedError):
            self._transactions.write({"count": clear, "event": event_of(likes)})

    def remove_counters(self, post_id: str) -> None:
        """Deletes the counters of a deleted post. Call it after the post's comments are deleted."""
        self._counters.delete_many([{"item_id": post_id}])

    def _change(self, post_id: str, like: Entry, step: int, event: Entry) -> bool:
        entries = {
            "like": like,
            "count": build_count(self._counters, post_id, "likes", step),
            "event": event,
        }
        return not self._posts.write_if_alive(post_id, entries)


def build_count(counters: Table, item_id: str, counter: str, step: int) -> Entry:
    """Returns the transaction entry that adds `step` to a counter."""
    return counters.build_update(
        {"item_id": item_id},
        "ADD #counter :step",
        names={"#counter": counter},
        values={":step": step},
    )


def _key(post_id: str, user_id: str) -> dict[str, str]:
    return {"post_id": post_id, "user_id": user_id}
