"""Deletes the dependent data of a deleted post, in idempotent steps.

When a user deletes a post, a tombstone replaces it, so that nobody can read, like or comment on it.
The same transaction stores an event, and EventBridge sends the event to this function's queue. The
queue delivers the event again until all steps have succeeded, and moves it to the dead-letter queue
after too many attempts. Each attempt deletes the remaining data. The tombstone is deleted last.
"""

from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import Entry
from lambdas.post.announcements import comment_data, removed_likes_data
from lambdas.post.comments import DynamoCommentStore
from lambdas.post.images import S3Images
from lambdas.post.likes import DynamoLikeStore
from lambdas.post.posts import DynamoPostStore
from lambdas.post.records import Comment


class NotFinishedError(Exception):
    """The index does not contain all comments of the post yet. Retry the removal later."""


class Removal:
    def __init__(
        self,
        *,
        posts: DynamoPostStore,
        comments: DynamoCommentStore,
        likes: DynamoLikeStore,
        images: S3Images,
        events: OutboxWriter,
    ) -> None:
        self._posts = posts
        self._comments = comments
        self._likes = likes
        self._images = images
        self._events = events

    def finish(self, post_id: str) -> None:
        """Deletes the post's remaining data. Raises NotFinishedError and errors of the stores."""
        tombstone = self._posts.find_tombstone(post_id)
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
        if tombstone.had_author_id is not None:
            author_id = tombstone.had_author_id
            self._likes.count_removed(
                post_id,
                lambda likes: self._events.put(
                    "PostLikesRemoved",
                    actor_id=deleted_by,
                    data=removed_likes_data(post_id, author_id, likes),
                ),
            )
        if not self._comments.remove_all(post_id, event_of):
            raise NotFinishedError(post_id)
        self._likes.remove_counters(post_id)
        self._posts.remove(tombstone)
