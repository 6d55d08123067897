"""The comments' table, found by post and in time."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, convert, to_builtins

from lambdas.common.people.authors import AuthorStore
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.common.storage.transactions import (
    MAX_ENTRIES,
    ConditionsFailedError,
    Entry,
    Transactions,
)
from lambdas.post.likes import count_entry
from lambdas.post.posts import DeletedError, DynamoPostStore
from lambdas.post.records import Comment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

POST_INDEX = "post-comments-index"

CHUNK = (MAX_ENTRIES - 1) // 3
"""Comments removed in one transaction: each with its event and its author's entry, and one counter for all."""


class ParentDeletedError(Exception):
    """The comment to reply to is not there any more."""


class CommentSlice(Struct, frozen=True):
    """Comments of a post, oldest first, and where the list goes on; None is its end."""

    comments: list[Comment]
    position: str | None


class CommentStore(Protocol):
    """What the logic needs of the comments. Those of a deleted post do not exist, nor can one be added."""

    def find(self, comment_id: str) -> Comment | None: ...

    def add(self, comment: Comment, author_id: str, event: Entry) -> None:
        """Stores a comment with its event, and the true author of an anonymous one.

        Raises DeletedError (the post) or ParentDeletedError.
        """

    def replace(self, before: Comment, after: Comment) -> bool:
        """Stores a changed comment unless it has been changed or deleted since it was read; tells whether it did.

        Raises DeletedError.
        """

    def remove(self, comment: Comment, event: Entry) -> bool:
        """Deletes a comment; tells whether it was still there. Raises DeletedError."""

    def oldest(self, post_id: str, count: int, after: str | None) -> CommentSlice: ...


class DynamoCommentStore:
    """Comments in DynamoDB. A comment and the counter of its post change in one transaction."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        *,
        comments: str,
        counters: str,
        posts: DynamoPostStore,
        authors: AuthorStore,
    ) -> None:
        self._dynamodb = dynamodb
        self._transactions = Transactions(dynamodb)
        self._comments = comments
        self._counters = counters
        self._posts = posts
        self._authors = authors

    def find(self, comment_id: str) -> Comment | None:
        item = self._dynamodb.get_item(
            TableName=self._comments, Key=_key(comment_id), ConsistentRead=True
        ).get("Item")
        return convert(unpack(item), Comment) if item else None

    def add(self, comment: Comment, author_id: str, event: Entry) -> None:
        entries: list[Entry] = [
            self._posts.alive(comment.post_id),
            {"Put": {"TableName": self._comments, "Item": pack(to_builtins(comment))}},
            count_entry(self._counters, comment.post_id, "comments", +1),
            event,
        ]
        if comment.is_anonymous:
            entries.append(self._authors.put_item_entry(comment.comment_id, author_id))
        if comment.parent_id is not None:
            there = {
                "TableName": self._comments,
                "Key": _key(comment.parent_id),
                "ConditionExpression": "attribute_exists(comment_id)",
            }
            entries.append({"ConditionCheck": there})
        try:
            self._transactions.write(entries)
        except ConditionsFailedError as error:
            raise (DeletedError if 0 in error.entries else ParentDeletedError) from None

    def replace(self, before: Comment, after: Comment) -> bool:
        put: Entry = {
            "Put": {
                "TableName": self._comments,
                "Item": pack(to_builtins(after)),
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": pack({":version": before.version}),
            }
        }
        return self._written([self._posts.alive(before.post_id), put])

    def remove(self, comment: Comment, event: Entry) -> bool:
        count = count_entry(self._counters, comment.post_id, "comments", -1)
        return self._written(
            [self._posts.alive(comment.post_id), *self._removal(comment, event), count]
        )

    def oldest(self, post_id: str, count: int, after: str | None) -> CommentSlice:
        found: list[Comment] = []
        for comment in self._of_post(post_id, after, count + 1):
            found.append(comment)
            if len(found) > count:
                return CommentSlice(found[:count], found[count - 1].created_at)
        return CommentSlice(found, None)

    def remove_all(self, post_id: str, event_of: Callable[[Comment], Entry]) -> bool:
        """Removes a deleted post's comments, each with an event of its own, and tells whether none is left.

        The index may not show yet a comment that was added just before the post was deleted; the counter knows of it.
        """
        chunk: list[Comment] = []
        for comment in self._of_post(post_id, None, CHUNK):
            chunk.append(comment)
            if len(chunk) == CHUNK:
                self._remove_chunk(post_id, chunk, event_of)
                chunk = []
        self._remove_chunk(post_id, chunk, event_of)
        return self._count(post_id) <= 0

    def _remove_chunk(
        self, post_id: str, comments: Sequence[Comment], event_of: Callable[[Comment], Entry]
    ) -> None:
        """Removes those of these that are still there: the index may show some that an attempt before this one has removed."""
        left = list(comments)
        while left:
            entries = [count_entry(self._counters, post_id, "comments", -len(left))]
            at: dict[int, Comment] = {}
            for comment in left:
                at[len(entries)] = comment
                entries += self._removal(comment, event_of(comment))
            try:
                self._transactions.write(entries)
            except ConditionsFailedError as error:
                left = [comment for index, comment in at.items() if index not in error.entries]
            else:
                return

    def _removal(self, comment: Comment, event: Entry) -> list[Entry]:
        """The entries that remove one comment; the first has the condition that it is there."""
        delete = {
            "TableName": self._comments,
            "Key": _key(comment.comment_id),
            "ConditionExpression": "attribute_exists(comment_id)",
        }
        forget = (
            [self._authors.delete_item_entry(comment.comment_id)] if comment.is_anonymous else []
        )
        return [{"Delete": delete}, event, *forget]

    def _written(self, entries: Sequence[Entry]) -> bool:
        try:
            self._transactions.write(entries)
        except ConditionsFailedError as error:
            if 0 in error.entries:
                raise DeletedError from None
            return False
        return True

    def _of_post(self, post_id: str, after: str | None, page_size: int) -> Iterator[Comment]:
        condition, values = "post_id = :post_id", {":post_id": post_id}
        if after is not None:
            condition, values = f"{condition} AND created_at > :after", {**values, ":after": after}
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._comments,
            IndexName=POST_INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=pack(values),
            PaginationConfig={"PageSize": page_size},
        )
        for page in pages:
            yield from (convert(unpack(item), Comment) for item in page["Items"])

    def _count(self, post_id: str) -> int:
        item: Any = self._dynamodb.get_item(
            TableName=self._counters, Key=pack({"item_id": post_id}), ConsistentRead=True
        ).get("Item")
        return int(unpack(item).get("comments", 0)) if item else 0


def _key(comment_id: str) -> dict[str, Any]:
    return pack({"comment_id": comment_id})
