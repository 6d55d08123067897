"""What the post service takes and answers."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from lambdas.common.validation import Body
from lambdas.common.web.pagination import PageQuery

MAX_DEPTH = 5
"""Levels of comments (API contract): a comment on the post itself is the first."""

# Line breaks and tabs are text; other control characters are not, and each would cost an answer six characters.
_TEXT = r"^(?=[\s\S]*\S)[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*\Z"
_LINE = r"^[^\x00-\x1f\x7f-\x9f]*\Z"

Content = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=10_000,
        pattern=_TEXT,
        description="must have 1 to 10000 characters, no control characters but line breaks and tabs, and not be blank",
    ),
]
CommentContent = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        pattern=_TEXT,
        description="must have 1 to 2000 characters, no control characters but line breaks and tabs, and not be blank",
    ),
]
Title = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=_LINE,
        description="must be one line of at most 200 characters, or null",
    ),
]
Tag = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern=r"^(?=\S)[^\x00-\x1f\x7f-\x9f]*(?<=\S)\Z",
        description="must have 1 to 50 characters, none of them a control character, and no space at either end",
    ),
]
Tags = Annotated[
    tuple[Tag, ...], Meta(max_length=10, description="must be a list of at most 10 tags")
]
Image = Annotated[str, Meta(min_length=1, max_length=1024, description="must be an upload's key")]
# As many as a page of a post shows at once; the contract names no limit.
Images = Annotated[
    tuple[Image, ...], Meta(max_length=10, description="must be a list of at most 10 upload keys")
]
Id = Annotated[str, Meta(min_length=1, max_length=64, description="must be an id")]


class CreatePost(Body, frozen=True, kw_only=True):
    content: Content
    title: Title | None = None
    tags: Tags = ()
    images: Images = ()
    is_anonymous: bool | UnsetType = UNSET


class UpdatePost(Body, frozen=True, kw_only=True):
    """What is there replaces; `images` names images of the post by their addresses and new ones by their upload keys."""

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
    """A timeline's query: everybody's posts, one author's, those with a tag, or both."""

    author_id: Id | None = None
    tag: Tag | None = None


class PostView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A post as a caller sees it. An anonymous one has no `author_id`, and its author's alias for a name."""

    post_id: str
    author_id: str | UnsetType = UNSET
    author_name: str
    title: str | None
    content: str
    tags: tuple[str, ...]
    images: tuple[str, ...]
    likes_count: int
    comments_count: int
    liked_by_me: bool
    created_at: str
    updated_at: str
    is_edited: bool
    is_anonymous: bool
    version: int


class CommentView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A comment as a caller sees it; `depth` is 1 for one on the post itself. A parent may have been deleted since."""

    comment_id: str
    post_id: str
    parent_id: str | None
    depth: int
    author_id: str | UnsetType = UNSET
    author_name: str
    content: str
    created_at: str
    updated_at: str
    is_edited: bool
    is_anonymous: bool
    version: int
