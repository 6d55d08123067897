"""What each event means for a profile's statistics.

Every change is an addition, and the day somebody joined comes from one event alone, so that the order in which events arrive makes no
difference.
"""

from msgspec import convert

from lambdas.statistics.events import Authorship, Event, Registration
from lambdas.statistics.store import Change, Store

CHANGES = {
    "PostCreated": Change("posts_count", 1),
    "PostDeleted": Change("posts_count", -1),
    "CommentCreated": Change("comments_count", 1),
    "CommentDeleted": Change("comments_count", -1),
    "PostLiked": Change("likes_received", 1),
    "PostUnliked": Change("likes_received", -1),
}


class UnknownEventError(Exception):
    """An event that statistics do not follow; its rule should not have sent it."""


class Statistics:
    """Follows events, each exactly once however often it comes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def follow(self, event: Event) -> None:
        """Makes or changes the profile that an event is about; an anonymous item's event is about none.

        Raises UnknownEventError, msgspec.ValidationError (data of another form) and what the store raises.
        """
        detail = event.detail
        if event.type == "UserRegistered":
            user = convert(detail.data, Registration)
            self._store.join(user.user_id, user.display_name, detail.occurred_at)
            return
        change = CHANGES.get(event.type)
        if change is None:
            raise UnknownEventError(event.type)
        author_id = convert(detail.data, Authorship).author_id
        if author_id is not None:
            self._store.count(detail.event_id, author_id, change)
