"""The rules for comments, independent of HTTP events."""

import time

from msgspec import UNSET, structs

from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.problems import FieldError, Problem
from lambdas.common.storage.retries import Sleep, attempts
from lambdas.common.web.preconditions import IfMatch
from lambdas.post.announcements import comment_data
from lambdas.post.authorship import Authorship, shown_id
from lambdas.post.comments import CommentStore, ParentDeletedError
from lambdas.post.logic import Events, find_post, post_not_found
from lambdas.post.models import MAX_DEPTH, CommentView, CreateComment, UpdateComment
from lambdas.post.posts import DeletedError, PostStore
from lambdas.post.records import Comment, Post, position


class CommentService:
    """The comment operations of the API (docs/api/post.md). Methods raise Problem."""

    def __init__(
        self,
        *,
        posts: PostStore,
        comments: CommentStore,
        authorship: Authorship,
        events: Events,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._posts = posts
        self._comments = comments
        self._authorship = authorship
        self._events = events
        self._clock = clock
        self._sleep = sleep

    def list_comments(
        self, caller: Caller, post_id: str, count: int, after: str | None
    ) -> tuple[list[CommentView], str | None]:
        """Returns a page of comments, oldest first, and the position of the next page."""
        find_post(self._posts, post_id)
        page = self._comments.list_oldest(post_id, count, after)
        names = self._authorship.names(page.comments, caller)
        return [_view(c, n) for c, n in zip(page.comments, names, strict=True)], page.position

    def get(self, caller: Caller, post_id: str, comment_id: str) -> CommentView:
        return self._view_for(caller, self._find(post_id, comment_id))

    def create(
        self, caller: Caller, post_id: str, body: CreateComment, comment_id: str | None = None
    ) -> CommentView:
        anonymous = self._authorship.is_anonymous_act(caller, body.is_anonymous)
        post = find_post(self._posts, post_id)
        depth = 1 if body.parent_id is None else self._depth_below(post, body.parent_id)
        byline = self._authorship.of_comment(caller, post, anonymous=anonymous)
        comment_id, now = comment_id or new_id(), self._clock()
        comment = Comment(
            comment_id=comment_id,
            post_id=post_id,
            parent_id=body.parent_id,
            depth=depth,
            content=body.content,
            created_at=position(now, comment_id),
            updated_at=timestamp(now),
            version=1,
            **structs.asdict(byline),
        )
        event = self._events.put(
            "CommentCreated", actor_id=comment.actor_id, data=comment_data(comment, post)
        )
        try:
            self._comments.add(comment, caller.user_id, event)
        except DeletedError:
            raise post_not_found() from None
        except ParentDeletedError:
            raise _parent_not_found() from None
        return self._view_for(caller, comment)

    def update(
        self, caller: Caller, post_id: str, comment_id: str, body: UpdateComment, if_match: IfMatch
    ) -> CommentView:
        for _ in attempts(self._sleep):
            before = self._find(post_id, comment_id)
            self._authorship.check_author(caller, before, comment_id)
            if_match.check(before.version)
            if body.content is UNSET or body.content == before.content:
                return self._view_for(caller, before)
            after = structs.replace(
                before,
                content=body.content,
                version=before.version + 1,
                updated_at=timestamp(self._clock()),
                is_edited=True,
            )
            try:
                if self._comments.replace(before, after):
                    return self._view_for(caller, after)
            except DeletedError:
                raise post_not_found() from None
        raise AssertionError("unreachable: attempts() raises after the last attempt")

    def delete(self, caller: Caller, post_id: str, comment_id: str) -> bool:
        """Deletes a comment without its replies. Returns True if an anonymous author deleted it."""
        comment = self._find(post_id, comment_id)
        actor_id = self._authorship.deleting_actor(caller, comment, comment_id)
        event = self._events.put("CommentDeleted", actor_id=actor_id, data=comment_data(comment))
        try:
            removed = self._comments.remove(comment, event)
        except DeletedError:
            raise post_not_found() from None
        if not removed:
            raise comment_not_found()
        return actor_id == comment.alias_id

    def _find(self, post_id: str, comment_id: str) -> Comment:
        find_post(self._posts, post_id)
        comment = self._comments.find(comment_id)
        if comment is None or comment.post_id != post_id:
            raise comment_not_found()
        return comment

    def _depth_below(self, post: Post, parent_id: str) -> int:
        parent = self._comments.find(parent_id)
        if parent is None or parent.post_id != post.post_id:
            raise _parent_not_found()
        if parent.depth >= MAX_DEPTH:
            raise Problem.invalid(
                [FieldError("parentId", f"is too deep: comments can have {MAX_DEPTH} levels")]
            )
        return parent.depth + 1

    def _view_for(self, caller: Caller, comment: Comment) -> CommentView:
        return _view(comment, self._authorship.names([comment], caller)[0])


def _view(comment: Comment, name: str) -> CommentView:
    return CommentView(
        comment_id=comment.comment_id,
        post_id=comment.post_id,
        parent_id=comment.parent_id,
        depth=comment.depth,
        author_id=shown_id(comment.author_id),
        alias_id=shown_id(comment.alias_id),
        author_name=name,
        content=comment.content,
        created_at=comment.created,
        updated_at=comment.updated_at,
        is_edited=comment.is_edited,
        is_anonymous=comment.is_anonymous,
        version=comment.version,
    )


def comment_not_found() -> Problem:
    return Problem.not_found("There is no comment with this id.", "comment_not_found")


def _parent_not_found() -> Problem:
    return Problem.invalid([FieldError("parentId", "must be the id of a comment on this post")])
