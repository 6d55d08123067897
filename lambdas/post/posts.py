"""The table of posts, with indexes by time and author, and the table that lists posts by tag."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, convert, structs, to_builtins

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.people.authors import AuthorStore
from lambdas.common.storage.dynamodb import (
    ConditionFailedError,
    Entry,
    Expressions,
    Item,
    Table,
    succeeds,
)
from lambdas.common.storage.transactions import Transactions
from lambdas.common.web.http import AlreadyCreatedError
from lambdas.post.records import Post, Tombstone, tag_key
from lambdas.post.timeline import Months, Timeline

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TIMELINE_INDEX = "timeline-index"
AUTHOR_INDEX = "author-posts-index"

AUTHOR_READS = 5
AUTHOR_READ = 100
"""AUTHOR_READS is the maximum number of queries for a page of posts by author and tag. AUTHOR_READ
is the maximum number of posts that each of these queries reads.

The queries also read the author's posts that do not have the tag.
"""

_ATTRIBUTES = [field.name for field in structs.fields(Post)]


class DeletedError(Exception):
    """The post was deleted."""


class Slice(Struct, frozen=True):
    """A page of posts, newest first, and the position of the next page, or None on the last page.

    A page can have fewer posts than requested even if more posts follow.
    """

    posts: list[Post]
    position: str | None


class PostStore(Protocol):
    """Stores posts. Deleted posts are not found."""

    def find(self, post_id: str) -> Post | None: ...

    def add(self, post: Post, author_id: str, event: Entry) -> None:
        """Stores a post with its event and, if it is anonymous, its real author.

        Raises AlreadyCreatedError if a post with this id exists or was deleted.
        """

    def replace(self, before: Post, after: Post) -> bool:
        """Replaces a post. Returns False if it has changed or been deleted since it was read."""

    def mark_deleted(self, post: Post, deleted_at: str, deleted_by: str, event: Entry) -> bool:
        """Replaces the post with a tombstone.

        Returns False if the post has changed or been deleted since it was read. The post's
        dependent data is deleted later (see `removal`).
        """

    def list_newest(self, count: int, before: str | None) -> Slice: ...

    def list_by_author(self, author_id: str, count: int, before: str | None) -> Slice: ...

    def list_by_tag(self, tag: str, count: int, before: str | None) -> Slice: ...

    def list_by_author_and_tag(
        self, author_id: str, tag: str, count: int, before: str | None
    ) -> Slice: ...


class DynamoPostStore:
    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        *,
        posts: str,
        tags: str,
        months: Months,
        authors: AuthorStore,
        shards: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._transactions = Transactions(dynamodb)
        self._posts = Table(dynamodb, posts)
        self._tags = Table(dynamodb, tags)
        self._months = months
        self._authors = authors
        self._timeline = Timeline(self._of_bucket, months, shards, clock)

    def find(self, post_id: str) -> Post | None:
        item = self._posts.get(_key(post_id))
        return _post(item) if item else None

    def add(self, post: Post, author_id: str, event: Entry) -> None:
        self._months.record(post.created_at)
        put = self._posts.build_put(to_builtins(post), condition="attribute_not_exists(post_id)")
        entries = {"post": put, "event": event, **self._tagging(post, post.tags)}
        if post.is_anonymous:
            entries["author"] = self._authors.build_put(post.post_id, author_id)
        try:
            self._transactions.write(entries)
        except ConditionFailedError:
            raise AlreadyCreatedError from None

    def replace(self, before: Post, after: Post) -> bool:
        old, new = ({tag_key(tag): tag for tag in post.tags} for post in (before, after))
        put = self._posts.build_put(to_builtins(after), **_unchanged(before))
        entries = {
            "post": put,
            **self._tagging(after, [tag for key, tag in new.items() if key not in old]),
            **{
                f"tag {key}": self._tags.build_delete({"tag": key, "created_at": after.created_at})
                for key in old
                if key not in new
            },
        }
        return succeeds(lambda: self._transactions.write(entries))

    def mark_deleted(self, post: Post, deleted_at: str, deleted_by: str, event: Entry) -> bool:
        tombstone = Tombstone(
            post_id=post.post_id,
            deleted_at=deleted_at,
            deleted_by=deleted_by,
            was_created_at=post.created_at,
            had_author_id=post.author_id,
            had_tags=post.tags,
        )
        # The version is checked, because the tombstone must list the tags of the latest version.
        put = self._posts.build_put(to_builtins(tombstone), **_unchanged(post))
        return succeeds(lambda: self._transactions.write({"post": put, "event": event}))

    def list_newest(self, count: int, before: str | None) -> Slice:
        items, position = self._timeline.list_newest(count, before)
        return Slice(_posts(items), position)

    def list_by_author(self, author_id: str, count: int, before: str | None) -> Slice:
        items = self._of_author(author_id, before, count + 1)
        return Slice(_posts(items[:count]), _next(items, count))

    def list_by_tag(self, tag: str, count: int, before: str | None) -> Slice:
        items = _query(self._tags, None, ("tag", tag_key(tag)), before, count + 1)
        keys = [_key(item["post_id"]) for item in items[:count]]
        found = self._posts.get_many(keys, [*_ATTRIBUTES, "deleted_at"], consistent=False)
        # The tag items of a deleted post exist until `removal` deletes them. `_posts` omits such
        # posts.
        posts = sorted(_posts(filter(None, found)), key=lambda post: post.created_at, reverse=True)
        return Slice(posts, _next(items, count))

    def list_by_author_and_tag(
        self, author_id: str, tag: str, count: int, before: str | None
    ) -> Slice:
        wanted, found = tag_key(tag), list[Post]()
        for _ in range(AUTHOR_READS):
            items = self._of_author(author_id, before, AUTHOR_READ)
            for post in _posts(items):
                if wanted in map(tag_key, post.tags):
                    found.append(post)
                    if len(found) == count:
                        return Slice(found, post.created_at)
            if len(items) < AUTHOR_READ:
                return Slice(found, None)
            before = items[-1]["created_at"]
        return Slice(found, before)

    def write_if_alive(self, post_id: str, entries: Mapping[str, Entry]) -> Collection[str]:
        """Writes entries that belong to a post, in one transaction.

        Returns the names of the entries whose condition failed. If there are any, nothing was
        written. Raises DeletedError if the post was deleted.
        """
        condition = "attribute_exists(post_id) AND attribute_not_exists(deleted_at)"
        check = self._posts.build_check(_key(post_id), condition=condition)
        try:
            self._transactions.write({"post": check, **entries})
        except ConditionFailedError as error:
            if "post" in error.failed:
                raise DeletedError from None
            return error.failed
        return ()

    def find_tombstone(self, post_id: str) -> Tombstone | None:
        """Returns the tombstone of a deleted post, or None if the post is not deleted or the
        tombstone has been deleted.
        """
        item = self._posts.get(_key(post_id))
        return convert(item, Tombstone) if item and "deleted_at" in item else None

    def remove_tags(self, tombstone: Tombstone) -> None:
        self._tags.delete_many(
            {"tag": tag_key(tag), "created_at": tombstone.was_created_at}
            for tag in tombstone.had_tags
        )

    def remove(self, tombstone: Tombstone) -> None:
        """Deletes the tombstone and, if the post was anonymous, the record of its author.

        Call it after all other data of the post is deleted.
        """
        self._transactions.write(
            {
                "tombstone": self._posts.build_delete(_key(tombstone.post_id)),
                "author": self._authors.build_delete(tombstone.post_id),
            }
        )

    def _tagging(self, post: Post, tags: Iterable[str]) -> dict[str, Entry]:
        items = (
            {"tag": tag_key(tag), "created_at": post.created_at, "post_id": post.post_id}
            for tag in tags
        )
        return {f"tag {item['tag']}": self._tags.build_put(item) for item in items}

    def _of_bucket(self, bucket: str, before: str | None, count: int) -> list[Item]:
        return _query(self._posts, TIMELINE_INDEX, ("timeline_bucket", bucket), before, count)

    def _of_author(self, author_id: str, before: str | None, count: int) -> list[Item]:
        return _query(self._posts, AUTHOR_INDEX, ("author_id", author_id), before, count)


def _query(
    table: Table, index: str | None, partition: tuple[str, str], before: str | None, count: int
) -> list[Item]:
    """Returns up to `count` items of a partition that is sorted by `created_at`, newest first."""
    key, value = partition
    condition, values = f"{key} = :value", {":value": value}
    if before is not None:
        condition, values[":before"] = f"{condition} AND created_at < :before", before
    items = table.query(condition, values, index=index, page_size=count, newest_first=True)
    return list(islice(items, count))


def _next(items: Sequence[Item], count: int) -> str | None:
    """Returns the position after the first `count` items, or None if no more items follow."""
    return str(items[count - 1]["created_at"]) if len(items) > count else None


def _post(item: Mapping[str, Any]) -> Post | None:
    return None if "deleted_at" in item else convert(item, Post)


def _posts(items: Iterable[Mapping[str, Any]]) -> list[Post]:
    return [post for item in items if (post := _post(item))]


def _key(post_id: str) -> dict[str, str]:
    return {"post_id": post_id}


def _unchanged(post: Post) -> Expressions:
    return {
        "condition": "version = :version AND attribute_not_exists(deleted_at)",
        "values": {":version": post.version},
    }
