"""What is left to do once a post is deleted: everything that belonged to it is removed, in steps that may be repeated.

The post is gone for its readers, and closed to likes and comments, from the moment its tombstone stands. Its event, stored in the
same transaction, brings the post's id to a queue, which gives it again until all is done: whatever ends an attempt, the
next one goes on with what is left. The tombstone goes last.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lambdas.common.storage.transactions import Entry
from lambdas.post.announcements import comment_data
from lambdas.post.records import Comment, Tombstone


class NotFinishedError(Exception):
    """Something of the post is not to be seen yet: the same again later is right."""


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
    """Takes along what belongs to a deleted post."""

    def __init__(
        self, *, posts: Posts, comments: Comments, likes: Likes, images: Images, events: Events
    ) -> None:
        self._posts = posts
        self._comments = comments
        self._likes = likes
        self._images = images
        self._events = events

    def finish(self, post_id: str) -> None:
        """Does what is left to do, if anything. Raises NotFinishedError, and what stores raise."""
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
