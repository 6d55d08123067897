"""The types of the events that the statistics function receives from its queue."""

from typing import Any

from msgspec import Struct, field


class Detail(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `detail` of an event (docs/api/README.md, Events)."""

    event_id: str
    occurred_at: str
    data: dict[str, Any]


class Event(Struct, frozen=True, kw_only=True):
    """An event of the bus. Omits EventBridge's fields that the function does not read."""

    type: str = field(name="detail-type")
    detail: Detail


class Registration(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `data` of a UserRegistered event."""

    user_id: str
    display_name: str


class Authorship(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `data` of post and comment events. Events about anonymous items contain no author."""

    author_id: str | None = None


class RemovedLikes(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `data` of PostLikesRemoved, which reports how many likes a deleted post had.

    The event is not published for anonymous posts.
    """

    author_id: str
    likes: int
