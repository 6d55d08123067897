"""The table of comments, with an index by post and time."""

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
"""Comments deleted in one transaction. Each needs entries for the comment, its event and its
author; one entry updates the counter."""


class ParentDeletedError(Exception):
    """The comment to reply to was deleted."""


class CommentSlice(Struct, frozen=True):
    """Comments of a post, oldest first, and the position of the next ones, None at the end."""

    comments: list[Comment]
    position: str | None


class CommentStore(Protocol):
    """Stores comments. Comments of a deleted post cannot be added, changed or deleted."""

    def find(self, comment_id: str) -> Comment | None: ...

    def add(self, comment: Comment, author_id: str, event: Entry) -> None:
        """Stores a comment with its event and, if it is anonymous, its real author.

        Raises DeletedError if the post was deleted, and ParentDeletedError.
        """

    def replace(self, before: Comment, after: Comment) -> bool:
        """Replaces a comment. Returns False if it has changed or been deleted since it was read.

        Raises DeletedError if the post was deleted.
        """

    def remove(self, comment: Comment, event: Entry) -> bool:
        """Deletes a comment. Returns False if it did not exist.

        Raises DeletedError if the post was deleted.
        """

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
            parent_exists = {
                "TableName": self._comments,
                "Key": _key(comment.parent_id),
                "ConditionExpression": "attribute_exists(comment_id)",
            }
            entries.append({"ConditionCheck": parent_exists})
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
        return self._try_write([self._posts.alive(before.post_id), put])

    def remove(self, comment: Comment, event: Entry) -> bool:
        count = count_entry(self._counters, comment.post_id, "comments", -1)
        return self._try_write(
            [self._posts.alive(comment.post_id), *self._removal(comment, event), count]
        )

    def oldest(self, post_id: str, count: int, after: str | None) -> CommentSlice:
        comments: list[Comment] = []
        for comment in self._of_post(post_id, after, count + 1):
            comments.append(comment)
            if len(comments) > count:
                return CommentSlice(comments[:count], comments[count - 1].created_at)
        return CommentSlice(comments, None)

    def remove_all(self, post_id: str, event_of: Callable[[Comment], Entry]) -> bool:
        """Deletes the comments of a deleted post, each with an event. Returns True if none is left.

        The index can lag behind and miss the newest comments, so the counter decides.
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
        """Deletes the comments that exist. The index can contain comments that are deleted already."""
        remaining = list(comments)
        while remaining:
            entries = [count_entry(self._counters, post_id, "comments", -len(remaining))]
            comment_at: dict[int, Comment] = {}
            for comment in remaining:
                comment_at[len(entries)] = comment
                entries += self._removal(comment, event_of(comment))
            try:
                self._transactions.write(entries)
            except ConditionsFailedError as error:
                remaining = [c for index, c in comment_at.items() if index not in error.entries]
            else:
                return

    def _removal(self, comment: Comment, event: Entry) -> list[Entry]:
        """Returns the entries that delete a comment. The first fails if it does not exist."""
        delete = {
            "TableName": self._comments,
            "Key": _key(comment.comment_id),
            "ConditionExpression": "attribute_exists(comment_id)",
        }
        delete_author = (
            [self._authors.delete_item_entry(comment.comment_id)] if comment.is_anonymous else []
        )
        return [{"Delete": delete}, event, *delete_author]

    def _try_write(self, entries: Sequence[Entry]) -> bool:
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
