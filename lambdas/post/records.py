"""The stored form of posts and comments."""

import unicodedata

from msgspec import Struct

from lambdas.common.clock import timestamp


class Authored(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The common fields of posts and comments.

    An item that is not anonymous has its author's id, and a name that is shown until the author
    has a profile. An anonymous item has an alias instead, and nothing that identifies its author.
    `created_at` is the result of the function `position` and therefore a unique sort key.
    `updated_at` is RFC 3339.
    """

    created_at: str
    updated_at: str
    author_name: str
    author_id: str | None = None
    alias_id: str | None = None
    content: str
    is_edited: bool = False
    version: int

    @property
    def is_anonymous(self) -> bool:
        return self.alias_id is not None

    @property
    def created(self) -> str:
        """The time of creation (RFC 3339)."""
        return self.created_at.partition("#")[0]

    @property
    def actor_id(self) -> str:
        """The author's id in events: the alias id of an anonymous item, otherwise the user id."""
        actor = self.alias_id or self.author_id
        assert actor is not None, "an item must have an author or an alias"
        return actor


class Post(Authored, frozen=True, kw_only=True, omit_defaults=True):
    """A post that is not deleted.

    `images` are S3 keys. `timeline_bucket` is the post's partition in the timeline index.
    """

    post_id: str
    timeline_bucket: str
    title: str | None = None
    tags: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class Tombstone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Replaces a deleted post until its comments, likes, tags and images are deleted.

    `deleted_by` is the `actorId` of the event PostDeleted. `had_author_id` is the author's id, or
    None if the post was anonymous. The tombstone has no content, and no index contains it.
    """

    post_id: str
    deleted_at: str
    deleted_by: str
    was_created_at: str
    had_author_id: str | None = None
    had_tags: tuple[str, ...] = ()


class Comment(Authored, frozen=True, kw_only=True, omit_defaults=True):
    comment_id: str
    post_id: str
    parent_id: str | None = None
    depth: int = 1


def position(seconds: float, item_id: str) -> str:
    """Returns the sort key of an item: its time, and its id to distinguish equal times.

    Args:
        seconds: The time of creation, in seconds since the epoch.
        item_id: The id of the post or comment.
    """
    return f"{timestamp(seconds)}#{item_id}"


def tag_key(tag: str) -> str:
    """Returns the search key of a tag, which ignores case and the composition of Unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", tag).casefold())
