"""The rules for posts and likes, independent of HTTP events."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import UNSET, structs

from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import Entry
from lambdas.common.storage.retries import Sleep, attempts
from lambdas.common.storage.uploads import SignedUpload, new_uploads
from lambdas.common.web.http import AlreadyCreatedError
from lambdas.common.web.preconditions import IfMatch
from lambdas.post.announcements import post_data
from lambdas.post.authorship import Authorship, shown_id
from lambdas.post.images import ImageStore
from lambdas.post.likes import NO_ENGAGEMENT, Engagement, LikeStore
from lambdas.post.models import CreatePost, PostQuery, PostView, UpdatePost
from lambdas.post.posts import DeletedError, PostStore, Slice
from lambdas.post.records import Post, position, tag_key
from lambdas.post.timeline import bucket


class Events(Protocol):
    def put(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> Entry: ...


class PostService:
    """The post operations of the API (docs/api/post.md). Methods raise Problem."""

    def __init__(
        self,
        *,
        posts: PostStore,
        likes: LikeStore,
        images: ImageStore,
        authorship: Authorship,
        events: Events,
        image_url: Callable[[str], str],
        shards: int,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = time.sleep,
    ) -> None:
        """Creates the service.

        `image_url` returns the URL of an image's key. `shards` is the number of shards per month.
        """
        self._posts = posts
        self._likes = likes
        self._images = images
        self._authorship = authorship
        self._events = events
        self._image_url = image_url
        self._shards = shards
        self._clock = clock
        self._sleep = sleep

    def create_upload(self, caller: Caller, content_type: str, content_length: int) -> SignedUpload:
        return self._images.sign(caller.user_id, content_type, content_length)

    def list_posts(
        self, caller: Caller, query: PostQuery, before: str | None
    ) -> tuple[list[PostView], str | None]:
        """Returns a page of posts, newest first, and the position of the next page."""
        page = self._slice(query, before)
        engagement = self._engagement(caller, page.posts)
        names = self._authorship.names(page.posts, caller)
        views = [
            self._view(p, n, engagement[p.post_id]) for p, n in zip(page.posts, names, strict=True)
        ]
        return views, page.position

    def create(self, caller: Caller, body: CreatePost, post_id: str | None = None) -> PostView:
        anonymous = self._authorship.is_anonymous_act(caller, body.is_anonymous)
        post_id, now = post_id or new_id(), self._clock()
        images = self._copy_images(caller, post_id, body.images, ())
        try:
            byline = self._authorship.of_post(caller, post_id, anonymous=anonymous)
            created_at = position(now, post_id)
            post = Post(
                post_id=post_id,
                timeline_bucket=bucket(created_at, post_id, self._shards),
                created_at=created_at,
                updated_at=timestamp(now),
                title=body.title,
                content=body.content,
                tags=_distinct(body.tags),
                images=images,
                version=1,
                **structs.asdict(byline),
            )
            event = self._events.put("PostCreated", actor_id=post.actor_id, data=post_data(post))
            self._posts.add(post, caller.user_id, event)
        # After any other error, the images are kept, because the post may already be stored.
        except (Problem, AlreadyCreatedError):
            self._images.remove(images)
            raise
        return self._view_for(caller, post, NO_ENGAGEMENT)

    def get(self, caller: Caller, post_id: str) -> PostView:
        post = self._find(post_id)
        return self._view_for(caller, post, self._engagement(caller, [post])[post_id])

    def update(self, caller: Caller, post_id: str, body: UpdatePost, if_match: IfMatch) -> PostView:
        for _ in attempts(self._sleep):
            before = self._find(post_id)
            self._authorship.check_author(caller, before, post_id)
            if_match.check(before.version)
            images = (
                before.images
                if body.images is UNSET
                else self._copy_images(caller, post_id, body.images, before.images)
            )
            after = self._changed(before, body, images)
            if after == before:
                break
            if self._posts.replace(before, after):
                self._images.remove(set(before.images) - set(images))
                break
            # Another request changed the post, so the copies of the new images are deleted. The
            # next attempt checks If-Match again.
            self._images.remove(set(images) - set(before.images))
        return self._view_for(caller, after, self._engagement(caller, [after])[post_id])

    def delete(self, caller: Caller, post_id: str) -> bool:
        """Deletes a post. Returns True if an anonymous author deleted it."""
        for _ in attempts(self._sleep):
            post = self._find(post_id)
            actor_id = self._authorship.deleting_actor(caller, post, post_id)
            event = self._events.put("PostDeleted", actor_id=actor_id, data=post_data(post))
            if self._posts.mark_deleted(post, timestamp(self._clock()), actor_id, event):
                return actor_id == post.alias_id
        raise AssertionError("unreachable: attempts() raises after the last attempt")

    def like(self, caller: Caller, post_id: str) -> None:
        self._like(caller, post_id, liked=True)

    def unlike(self, caller: Caller, post_id: str) -> None:
        self._like(caller, post_id, liked=False)

    def _like(self, caller: Caller, post_id: str, *, liked: bool) -> None:
        post = self._find(post_id)
        if self._likes.read_engagement([post_id], caller.user_id)[post_id].liked == liked:
            return  # reading first is cheaper than a transaction that fails
        event_type, change = (
            ("PostLiked", self._likes.add) if liked else ("PostUnliked", self._likes.remove)
        )
        try:
            change(
                post_id,
                caller.user_id,
                self._events.put(event_type, actor_id=caller.user_id, data=post_data(post)),
            )
        except DeletedError:
            raise post_not_found() from None

    def _find(self, post_id: str) -> Post:
        return find_post(self._posts, post_id)

    def _slice(self, query: PostQuery, before: str | None) -> Slice:
        match query.author_id, query.tag:
            case None, None:
                return self._posts.list_newest(query.limit, before)
            case str(author_id), None:
                return self._posts.list_by_author(author_id, query.limit, before)
            case None, str(tag):
                return self._posts.list_by_tag(tag, query.limit, before)
            case str(author_id), str(tag):
                return self._posts.list_by_author_and_tag(author_id, tag, query.limit, before)
        raise AssertionError

    def _changed(self, post: Post, body: UpdatePost, images: tuple[str, ...]) -> Post:
        """Returns the post with the changes of the body, or the same post if nothing changes."""
        fields = {f: v for f, v in structs.asdict(body).items() if v is not UNSET}
        if body.tags is not UNSET:
            fields["tags"] = _distinct(body.tags)
        changed = structs.replace(post, **{**fields, "images": images})
        if changed == post:
            return post
        now = timestamp(self._clock())
        return structs.replace(changed, version=post.version + 1, updated_at=now, is_edited=True)

    def _copy_images(
        self, caller: Caller, post_id: str, images: Sequence[str], current: Sequence[str]
    ) -> tuple[str, ...]:
        """Copies the new uploads in a request's list of images. Returns the list as S3 keys.

        `images` has keys of uploads, and URLs of the current images. `current` has the S3 keys of
        the current images. An image that `images` contains repeatedly is returned once.
        """
        keys = {self._image_url(key): key for key in current}
        keys |= self._images.use(caller.user_id, new_uploads(images, keys), post_id)
        return tuple(dict.fromkeys(keys[image] for image in images))

    def _engagement(self, caller: Caller, posts: Sequence[Post]) -> dict[str, Engagement]:
        user_id = None if caller.is_anonymous else caller.user_id
        return self._likes.read_engagement([post.post_id for post in posts], user_id)

    def _view_for(self, caller: Caller, post: Post, engagement: Engagement) -> PostView:
        return self._view(post, self._authorship.names([post], caller)[0], engagement)

    def _view(self, post: Post, name: str, engagement: Engagement) -> PostView:
        return PostView(
            post_id=post.post_id,
            author_id=shown_id(post.author_id),
            alias_id=shown_id(post.alias_id),
            author_name=name,
            title=post.title,
            content=post.content,
            tags=post.tags,
            images=tuple(map(self._image_url, post.images)),
            likes_count=engagement.likes,
            comments_count=engagement.comments,
            liked_by_me=engagement.liked,
            created_at=post.created,
            updated_at=post.updated_at,
            is_edited=post.is_edited,
            is_anonymous=post.is_anonymous,
            version=post.version,
        )


def find_post(posts: PostStore, post_id: str) -> Post:
    """Returns the post. Raises Problem 404 if the post does not exist."""
    post = posts.find(post_id)
    if post is None:
        raise post_not_found()
    return post


def post_not_found() -> Problem:
    return Problem.not_found("There is no post with this id.", "post_not_found")


def _distinct(tags: Sequence[str]) -> tuple[str, ...]:
    """Returns the tags without those that have the same `tag_key` as an earlier tag."""
    distinct: dict[str, str] = {}
    for tag in tags:
        distinct.setdefault(tag_key(tag), tag)
    return tuple(distinct.values())
