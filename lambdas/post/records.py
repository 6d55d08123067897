"""Posts and comments as they are kept."""

import unicodedata

from msgspec import Struct

from lambdas.common.clock import timestamp


class Authored(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What posts and comments have in common.

    A public item has its author's id, and the name that stands in until the author has a profile; an anonymous one has the alias
    instead, and nothing that tells who wrote it. `created_at` is the instant and the item's own id (`position`), so that
    an index sorted by it has one order without ties; `updated_at` is the instant alone.
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
        """When it was made, RFC 3339."""
        return self.created_at.partition("#")[0]

    @property
    def actor_id(self) -> str:
        """Its author as events name one: the alias if it is anonymous."""
        actor = self.alias_id or self.author_id
        assert actor is not None, "an item has an author or an alias"
        return actor


class Post(Authored, frozen=True, kw_only=True, omit_defaults=True):
    """A post that can be read. `images` are keys of objects; `timeline_bucket` says where it is in the timeline's index."""

    post_id: str
    timeline_bucket: str
    title: str | None = None
    tags: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class Tombstone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is left of a deleted post until everything that belongs to it is gone.

    `deleted_by` is the actor of the deletion as its event names one. An attribute of neither index is left, nor a word of the post.
    """

    post_id: str
    deleted_at: str
    deleted_by: str
    was_created_at: str
    had_tags: tuple[str, ...] = ()


class Comment(Authored, frozen=True, kw_only=True, omit_defaults=True):
    comment_id: str
    post_id: str
    parent_id: str | None = None
    depth: int = 1


def position(seconds: float, item_id: str) -> str:
    """The place of an item made then: instants sort as text, and the id sets apart those of one millisecond."""
    return f"{timestamp(seconds)}#{item_id}"


def tag_key(tag: str) -> str:
    """What a tag is found by, in whatever case and composition it is written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", tag).casefold())
