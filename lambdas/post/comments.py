"""The table of comments, with an index by post and time."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, convert, to_builtins

from lambdas.common.people.authors import AuthorStore
from lambdas.common.storage.dynamodb import ConditionFailedError, Entry, Expressions, Table
from lambdas.common.storage.transactions import MAX_ENTRIES, Transactions
from lambdas.common.web.http import AlreadyCreatedError
from lambdas.post.likes import build_count
from lambdas.post.posts import DynamoPostStore
from lambdas.post.records import Comment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

POST_INDEX = "post-comments-index"

_EXISTS: Expressions = {"condition": "attribute_exists(comment_id)"}

CHUNK = (MAX_ENTRIES - 1) // 3
"""Maximum comments deleted in one transaction. Each comment needs three entries (comment, event and
author). One more entry updates the counter."""


class ParentDeletedError(Exception):
    """The comment that a new comment replies to was deleted."""


class CommentSlice(Struct, frozen=True):
    """A page of comments, oldest first.

    `position` is the `created_at` of the page's last comment. The next page begins after it. On
    the last page, `position` is None.
    """

    comments: list[Comment]
    position: str | None


class CommentStore(Protocol):
    """Stores comments. Comments of a deleted post cannot be added, changed or deleted."""

    def find(self, comment_id: str) -> Comment | None: ...

    def add(self, comment: Comment, author_id: str, event: Entry) -> None:
        """Stores a comment with its event and, if it is anonymous, its real author.

        Raises DeletedError if the post was deleted, ParentDeletedError if the parent was, or
        AlreadyCreatedError if a comment with this id exists.
        """

    def replace(self, before: Comment, after: Comment) -> bool:
        """Replaces a comment. Returns False if it has changed or been deleted since it was read.

        Raises DeletedError if the post was deleted.
        """

    def remove(self, comment: Comment, event: Entry) -> bool:
        """Deletes a comment. Returns False if it did not exist.

        Raises DeletedError if the post was deleted.
        """

    def list_oldest(self, post_id: str, count: int, after: str | None) -> CommentSlice: ...


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
        self._transactions = Transactions(dynamodb)
        self._comments = Table(dynamodb, comments)
        self._counters = Table(dynamodb, counters)
        self._posts = posts
        self._authors = authors

    def find(self, comment_id: str) -> Comment | None:
        item = self._comments.get(_key(comment_id))
        return convert(item, Comment) if item else None

    def add(self, comment: Comment, author_id: str, event: Entry) -> None:
        entries = {
            "comment": self._comments.build_put(
                to_builtins(comment), condition="attribute_not_exists(comment_id)"
            ),
            "count": build_count(self._counters, comment.post_id, "comments", +1),
            "event": event,
        }
        if comment.is_anonymous:
            entries["author"] = self._authors.build_put(comment.comment_id, author_id)
        if comment.parent_id is not None:
            entries["parent"] = self._comments.build_check(_key(comment.parent_id), **_EXISTS)
        failed = self._posts.write_if_alive(comment.post_id, entries)
        if failed:
            raise AlreadyCreatedError if "comment" in failed else ParentDeletedError

    def replace(self, before: Comment, after: Comment) -> bool:
        put = self._comments.build_put(
            to_builtins(after), condition="version = :version", values={":version": before.version}
        )
        return not self._posts.write_if_alive(before.post_id, {"comment": put})

    def remove(self, comment: Comment, event: Entry) -> bool:
        count = build_count(self._counters, comment.post_id, "comments", -1)
        entries = {**self._removal(comment, event), "count": count}
        return not self._posts.write_if_alive(comment.post_id, entries)

    def list_oldest(self, post_id: str, count: int, after: str | None) -> CommentSlice:
        comments: list[Comment] = []
        for comment in self._of_post(post_id, after, count + 1):
            comments.append(comment)
            if len(comments) > count:
                return CommentSlice(comments[:count], comments[count - 1].created_at)
        return CommentSlice(comments, None)

    def remove_all(self, post_id: str, event_of: Callable[[Comment], Entry]) -> bool:
        """Deletes the comments of a deleted post, and stores an event for each comment.

        Returns True if no comments remain. Reads this from the counter, because the index may lack
        the newest comments.
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
        """Deletes the comments that still exist. The index can contain deleted comments."""
        remaining = list(comments)
        while remaining:
            count = build_count(self._counters, post_id, "comments", -len(remaining))
            entries = {"count": count}
            for comment in remaining:
                entries |= self._removal(comment, event_of(comment))
            try:
                self._transactions.write(entries)
            except ConditionFailedError as error:
                remaining = [c for c in remaining if c.comment_id not in error.failed]
            else:
                return

    def _removal(self, comment: Comment, event: Entry) -> dict[str, Entry]:
        """Returns the transaction's writes that delete a comment, by name.

        The write whose name is the comment's id fails if the comment does not exist.
        """
        id_ = comment.comment_id
        entries = {id_: self._comments.build_delete(_key(id_), **_EXISTS), f"event {id_}": event}
        if comment.is_anonymous:
            entries[f"author {id_}"] = self._authors.build_delete(id_)
        return entries

    def _of_post(self, post_id: str, after: str | None, page_size: int) -> Iterator[Comment]:
        condition, values = "post_id = :post_id", {":post_id": post_id}
        if after is not None:
            condition, values[":after"] = f"{condition} AND created_at > :after", after
        items = self._comments.query(condition, values, index=POST_INDEX, page_size=page_size)
        return (convert(item, Comment) for item in items)

    def _count(self, post_id: str) -> int:
        counters = self._counters.get({"item_id": post_id}) or {}
        return int(counters.get("comments", 0))


def _key(comment_id: str) -> dict[str, str]:
    return {"comment_id": comment_id}
