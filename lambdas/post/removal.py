"""Deletes what belongs to a deleted post, in idempotent steps.

Once the tombstone is written, the post cannot be read, liked or commented on. An event that is
stored in the same transaction sends the post's id to a queue, which retries until all steps have
succeeded. Each attempt continues with what is left. The tombstone is deleted last.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lambdas.common.storage.dynamodb import Entry
from lambdas.post.announcements import comment_data
from lambdas.post.records import Comment, Tombstone


class NotFinishedError(Exception):
    """Some comments of the post are not visible yet, so the removal must be retried later."""


class Posts(Protocol):
    def tombstone(self, post_id: str) -> Tombstone | None: ...

    def remove_tags(self, tombstone: Tombstone) -> None: ...

    def remove(self, tombstone: Tombstone) -> None: ...


class Comments(Protocol):
    def remove_all(self, post_id: str, event_of: Callable[[Comment], Entry]) -> bool: ...


class Likes(Protocol):
    def remove_all(self, post_id: str) -> None: ...

    def remove_counters(self, post_id: str) -> None: ...


class Images(Protocol):
    def remove_all(self, post_id: str) -> None: ...


class Events(Protocol):
    def put(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> Entry: ...


class Removal:
    """Deletes everything that belongs to a deleted post."""

    def __init__(
        self, *, posts: Posts, comments: Comments, likes: Likes, images: Images, events: Events
    ) -> None:
        self._posts = posts
        self._comments = comments
        self._likes = likes
        self._images = images
        self._events = events

    def finish(self, post_id: str) -> None:
        """Performs the remaining steps. Raises NotFinishedError and the errors of the stores."""
        tombstone = self._posts.tombstone(post_id)
        if tombstone is None:
            return
        deleted_by = tombstone.deleted_by

        def event_of(comment: Comment) -> Entry:
            return self._events.put(
                "CommentDeleted", actor_id=deleted_by, data=comment_data(comment)
            )

        self._images.remove_all(post_id)
        self._posts.remove_tags(tombstone)
        self._likes.remove_all(post_id)
        if not self._comments.remove_all(post_id, event_of):
            raise NotFinishedError(post_id)
        self._likes.remove_counters(post_id)
        self._posts.remove(tombstone)
