"""Events as the work queue brings them."""

from typing import Any

from msgspec import Struct, field


class Detail(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the platform says of an event (API contract, events)."""

    event_id: str
    occurred_at: str
    data: dict[str, Any]


class Event(Struct, frozen=True, kw_only=True):
    """An event of the bus. What else EventBridge writes into it is of no use here."""

    type: str = field(name="detail-type")
    detail: Detail


class Registration(Struct, frozen=True, kw_only=True, rename="camel"):
    """`data` of UserRegistered."""

    user_id: str
    display_name: str


class Authorship(Struct, frozen=True, kw_only=True, rename="camel"):
    """`data` of what happens to posts and comments. An anonymous item's author is in no event."""

    author_id: str | None = None
