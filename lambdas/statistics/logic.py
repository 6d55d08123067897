"""Maps events to changes of profile statistics.

The order of events does not matter: changes of counters are additions, and only the event
UserRegistered sets the join date.
"""

from msgspec import convert

from lambdas.statistics.events import Authorship, Event, Registration, RemovedLikes
from lambdas.statistics.store import Change, StatisticsStore

CHANGES = {
    "PostCreated": Change("posts_count", 1),
    "PostDeleted": Change("posts_count", -1),
    "CommentCreated": Change("comments_count", 1),
    "CommentDeleted": Change("comments_count", -1),
    "PostLiked": Change("likes_received", 1),
    "PostUnliked": Change("likes_received", -1),
}


class UnknownEventError(Exception):
    """The function does not handle this event type. The EventBridge rule should exclude it."""


class Statistics:
    """Applies each event exactly once, even if it is delivered repeatedly."""

    def __init__(self, store: StatisticsStore) -> None:
        self._store = store

    def handle(self, event: Event) -> None:
        """Creates the profile of a new user, or changes a counter in the profile of an author.

        Ignores events about anonymous items, which contain no author.

        Raises UnknownEventError or msgspec.ValidationError (malformed data), and propagates errors
        of the store.
        """
        detail = event.detail
        if event.type == "UserRegistered":
            user = convert(detail.data, Registration)
            self._store.create_profile(user.user_id, user.display_name, detail.occurred_at)
            return
        if event.type == "PostLikesRemoved":
            removed = convert(detail.data, RemovedLikes)
            decrease = Change("likes_received", -removed.likes)
            self._store.count(detail.event_id, removed.author_id, decrease)
            return
        change = CHANGES.get(event.type)
        if change is None:
            raise UnknownEventError(event.type)
        author_id = convert(detail.data, Authorship).author_id
        if author_id is not None:
            self._store.count(detail.event_id, author_id, change)
