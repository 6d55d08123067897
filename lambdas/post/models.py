"""Request and response models of the post service."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id
from lambdas.common.text import NAME, OPTIONAL_LINE, TEXT
from lambdas.common.validation import Body
from lambdas.common.web.pagination import PageQuery

MAX_DEPTH = 5
"""The number of comment levels (docs/api/post.md). Comments on the post itself have level 1."""

Content = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=10_000,
        pattern=TEXT,
        description="must have 1 to 10000 characters, not be blank, "
        "and have no control characters except line breaks and tabs",
    ),
]
CommentContent = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        pattern=TEXT,
        description="must have 1 to 2000 characters, not be blank, "
        "and have no control characters except line breaks and tabs",
    ),
]
Title = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=OPTIONAL_LINE,
        description="must be one visible line of at most 200 characters, or null",
    ),
]
Tag = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern=NAME,
        description="must have 1 to 50 characters, no control characters, "
        "and no space at either end",
    ),
]
Tags = Annotated[
    tuple[Tag, ...], Meta(max_length=10, description="must be a list of at most 10 tags")
]
Image = Annotated[str, Meta(min_length=1, max_length=1024, description="must be an upload's key")]
# The specification has no limit. Ten is a choice: a page shows all images of a post at once.
Images = Annotated[
    tuple[Image, ...], Meta(max_length=10, description="must be a list of at most 10 upload keys")
]


class CreatePost(Body, frozen=True, kw_only=True):
    content: Content
    title: Title | None = None
    tags: Tags = ()
    images: Images = ()
    is_anonymous: bool | UnsetType = UNSET


class UpdatePost(Body, frozen=True, kw_only=True):
    """The fields to replace.

    `images` contains the URLs of images to keep, and the upload keys of new images.
    """

    content: Content | UnsetType = UNSET
    title: Title | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    images: Images | UnsetType = UNSET


class CreateComment(Body, frozen=True, kw_only=True):
    content: CommentContent
    parent_id: Id | None = None
    is_anonymous: bool | UnsetType = UNSET


class UpdateComment(Body, frozen=True, kw_only=True):
    content: CommentContent | UnsetType = UNSET


class PostQuery(PageQuery, frozen=True, kw_only=True):
    """The query for a list of posts. `authorId` and `tag` are optional filters."""

    author_id: Id | None = None
    tag: Tag | None = None


class PostView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A post as the caller sees it. An anonymous post has `alias_id` instead of `author_id`."""

    post_id: Id
    author_id: Id | UnsetType = UNSET
    alias_id: Id | UnsetType = UNSET
    author_name: str
    title: str | None
    content: str
    tags: tuple[str, ...]
    images: tuple[str, ...]
    likes_count: int
    comments_count: int
    liked_by_me: bool
    created_at: Timestamp
    updated_at: Timestamp
    is_edited: bool
    is_anonymous: bool
    version: int


class CommentView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A comment as the caller sees it.

    `depth` is 1 for a comment on the post itself. The parent can be a deleted comment.
    """

    comment_id: Id
    post_id: Id
    parent_id: Id | None
    depth: int
    author_id: Id | UnsetType = UNSET
    alias_id: Id | UnsetType = UNSET
    author_name: str
    content: str
    created_at: Timestamp
    updated_at: Timestamp
    is_edited: bool
    is_anonymous: bool
    version: int
