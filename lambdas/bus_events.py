"""Defines the data of all events on the bus.

The documentation and the tests use these classes. No Lambda function imports this module.

The name of a class is the detail type of its event.
"""

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType

from lambdas.catalog.models import Status
from lambdas.chat.models import MessageType, Role, RoomType
from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id

T = TypeVar("T")


class Detail(Struct, Generic[T], frozen=True, kw_only=True, rename="camel"):
    """The detail of an event. `actor_id` is the id of the user who caused the event.

    If this user acts as an anonymous author, `actor_id` is the id of the author's alias.
    """

    event_id: Id
    occurred_at: Timestamp
    correlation_id: str | None
    actor_id: Id
    data: T


class EventData(Struct, frozen=True, kw_only=True, rename="camel"):
    """The data of an event."""


class UserRegistered(EventData, frozen=True, kw_only=True):
    """A user registered an account. `display_name` is the name in the new profile."""

    user_id: Id
    display_name: str


class UserLoggedIn(EventData, frozen=True, kw_only=True):
    """A user signed in, which created a session."""

    user_id: Id
    session_id: Id


class UserLoggedOut(EventData, frozen=True, kw_only=True):
    """A user ended the session, or all sessions if `all_devices` is true."""

    user_id: Id
    session_id: Id
    all_devices: bool


class PasswordChanged(EventData, frozen=True, kw_only=True):
    """A user changed or reset the password."""

    user_id: Id


class ProfileUpdated(EventData, frozen=True, kw_only=True):
    """A user changed the profile. `fields` names the changed fields without their values."""

    user_id: Id
    version: int
    fields: list[str]


class AvatarChanged(EventData, frozen=True, kw_only=True):
    """A user set or deleted the avatar."""

    user_id: Id
    version: int
    has_avatar: bool


class RoomCreated(EventData, frozen=True, kw_only=True):
    """A user created a room."""

    room_id: Id
    type: RoomType


class MessageSent(EventData, frozen=True, kw_only=True):
    """A user sent a message to a room. `seq` is the message's number in the room."""

    room_id: Id
    message_id: Id
    seq: int
    type: MessageType
    is_anonymous: bool


class MemberJoined(EventData, frozen=True, kw_only=True):
    """A user became a member of a room."""

    room_id: Id
    user_id: Id
    role: Role


class MemberLeft(EventData, frozen=True, kw_only=True):
    """A user's membership in a room ended."""

    room_id: Id
    user_id: Id
    reason: Literal["left", "removed", "banned"]


class PostEventData(EventData, frozen=True, kw_only=True):
    """The data of an event about a post. Anonymous posts have no `author_id`."""

    post_id: Id
    is_anonymous: bool
    author_id: Id | UnsetType = UNSET


class PostCreated(PostEventData, frozen=True, kw_only=True):
    """A user created a post. An anonymous post has no `author_id`."""


class PostDeleted(PostEventData, frozen=True, kw_only=True):
    """The author or a moderator deleted a post."""


class PostLiked(PostEventData, frozen=True, kw_only=True):
    """A user liked a post."""


class PostUnliked(PostEventData, frozen=True, kw_only=True):
    """A user removed a like from a post."""


class PostLikesRemoved(EventData, frozen=True, kw_only=True):
    """The likes of a deleted post were removed. Not published for anonymous posts."""

    post_id: Id
    author_id: Id
    likes: int


class CommentCreated(PostEventData, frozen=True, kw_only=True):
    """A user commented on a post. If the post is anonymous, `post_author_id` is missing.

    `is_anonymous` and `author_id` describe the comment.
    """

    comment_id: Id
    parent_id: Id | None
    post_author_id: Id | UnsetType = UNSET


class CommentDeleted(PostEventData, frozen=True, kw_only=True):
    """A comment was deleted, alone or with its post."""

    comment_id: Id
    parent_id: Id | None


class ListingEventData(EventData, frozen=True, kw_only=True):
    """The data of an event about a listing."""

    listing_id: Id
    seller_id: Id


class ListingCreated(ListingEventData, frozen=True, kw_only=True):
    """A seller created a listing."""

    category: str


class ListingUpdated(ListingEventData, frozen=True, kw_only=True):
    """A seller changed a listing. `changed` names the changed fields without their values."""

    changed: list[str]
    status: Status


class ListingSold(ListingEventData, frozen=True, kw_only=True):
    """A seller marked a listing as sold."""


class ListingRated(ListingEventData, frozen=True, kw_only=True):
    """A user rated a listing."""

    stars: int


class SellerContacted(ListingEventData, frozen=True, kw_only=True):
    """A user sent a message to the seller of a listing."""

    inquiry_id: Id


EVENTS: Mapping[str, tuple[type[EventData], ...]] = {
    "auth": (UserRegistered, UserLoggedIn, UserLoggedOut, PasswordChanged),
    "profile": (ProfileUpdated, AvatarChanged),
    "chat": (RoomCreated, MessageSent, MemberJoined, MemberLeft),
    "post": (
        PostCreated,
        PostDeleted,
        PostLiked,
        PostUnliked,
        PostLikesRemoved,
        CommentCreated,
        CommentDeleted,
    ),
    "catalog": (ListingCreated, ListingUpdated, ListingSold, ListingRated, SellerContacted),
}
"""The events that each service publishes, with the source `multitask.<service>`."""
