"""A post service on fake stores, without AWS."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from lambdas.common.caller import CAPABILITIES, Caller
from lambdas.common.people.aliases import Alias, ContextType
from lambdas.common.problems import FieldError, Problem
from lambdas.common.storage.dynamodb import Entry
from lambdas.common.storage.uploads import SignedForm, SignedUpload
from lambdas.post.authorship import Authorship
from lambdas.post.comments import CommentSlice, ParentDeletedError
from lambdas.post.discussion import CommentService
from lambdas.post.likes import Engagement
from lambdas.post.logic import PostService
from lambdas.post.posts import DeletedError, Slice
from lambdas.post.records import Comment, Post, tag_key
from tests.lambdas.support import NOW, FakeClock


def person(name: str, *roles: str) -> Caller:
    """Returns a registered user. The id contains the name."""
    return Caller(
        f"id-of-{name}",
        f"session-{name}",
        frozenset({"user", *roles}),
        frozenset(),
        int(NOW) + 900,
        name,
    )


def visitor(name: str) -> Caller:
    """Returns an anonymous user."""
    return Caller(
        f"id-of-{name}",
        f"session-{name}",
        frozenset(),
        frozenset(CAPABILITIES),
        int(NOW) + 900,
        name,
    )


class FakeEvents:
    def put(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> Entry:
        return {"type": event_type, "actor": actor_id, "data": dict(data)}


class FakeAuthors(dict[str, str]):
    def author_of(self, item_id: str) -> str | None:
        return self.get(item_id)


class FakeAliases(dict[tuple[str, str, str], Alias]):
    def get_or_create(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        number = len(self)
        new = Alias(
            alias_id=f"alias-{number}",
            display_name=f"Anonymous_{number}",
            context=context,
            context_type=context_type,
        )
        return self.setdefault((user_id, context_type, context), new)


class FakeNames(dict[str, str]):
    """The names in the profiles, by user id."""

    def display_names(
        self, user_ids: Collection[str], viewer: Caller | None, earlier: Mapping[str, str]
    ) -> dict[str, str]:
        return {user_id: self.get(user_id, earlier[user_id]) for user_id in user_ids}


class FakeImages:
    """Accepts uploads whose key begins with the user's id."""

    def __init__(self) -> None:
        self.stored: set[str] = set()

    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload:
        return SignedUpload(
            SignedForm("https://bucket.test", {"type": content_type}), f"{user_id}/1"
        )

    def use(self, user_id: str, positions: Mapping[str, int], post_id: str) -> dict[str, str]:
        wrong = [i for key, i in positions.items() if not key.startswith(f"{user_id}/")]
        if wrong:
            raise Problem.invalid([FieldError(f"images.{i}", "is wrong") for i in wrong])
        keys = {key: f"images/{post_id}/{key.rpartition('/')[2]}" for key in positions}
        self.stored |= set(keys.values())
        return keys

    def remove(self, keys: Iterable[str]) -> None:
        self.stored -= set(keys)


class FakePosts:
    def __init__(self, world: "World") -> None:
        self._world = world
        self.items: dict[str, Post] = {}
        self.conflicts = 0
        """How many of the next writes fail because another request changes the post first."""
        self.error: Exception | None = None
        """The error that `add` raises, or None."""

    def find(self, post_id: str) -> Post | None:
        return self.items.get(post_id)

    def add(self, post: Post, author_id: str, event: Entry) -> None:
        if self.error:
            raise self.error
        self.items[post.post_id] = post
        self._world.stored(event, post, author_id, post.post_id)

    def replace(self, before: Post, after: Post) -> bool:
        if self._change_concurrently(before):
            return False
        assert self.items[before.post_id] == before
        self.items[before.post_id] = after
        return True

    def mark_deleted(self, post: Post, deleted_at: str, deleted_by: str, event: Entry) -> bool:
        if self._change_concurrently(post):
            return False
        del self.items[post.post_id]
        self._world.events.append(event)
        return True

    def list_newest(self, count: int, before: str | None) -> Slice:
        return self._slice(self.items.values(), count, before)

    def list_by_author(self, author_id: str, count: int, before: str | None) -> Slice:
        return self._slice(
            (p for p in self.items.values() if p.author_id == author_id), count, before
        )

    def list_by_tag(self, tag: str, count: int, before: str | None) -> Slice:
        return self._slice(
            (p for p in self.items.values() if tag_key(tag) in map(tag_key, p.tags)), count, before
        )

    def list_by_author_and_tag(
        self, author_id: str, tag: str, count: int, before: str | None
    ) -> Slice:
        tagged = self.list_by_tag(tag, len(self.items), None).posts
        return self._slice((p for p in tagged if p.author_id == author_id), count, before)

    def _change_concurrently(self, post: Post) -> bool:
        if not self.conflicts:
            return False
        self.conflicts -= 1
        self.items[post.post_id] = structs.replace(
            post, version=post.version + 1, title="changed concurrently"
        )
        return True

    @staticmethod
    def _slice(posts: Iterable[Post], count: int, before: str | None) -> Slice:
        ordered = sorted(posts, key=lambda p: p.created_at, reverse=True)
        remaining = [p for p in ordered if before is None or p.created_at < before]
        return Slice(
            remaining[:count], remaining[count - 1].created_at if len(remaining) > count else None
        )


class FakeComments:
    def __init__(self, world: "World") -> None:
        self._world = world
        self.items: dict[str, Comment] = {}
        self.conflicts = 0
        self.deleted_parent = False

    def find(self, comment_id: str) -> Comment | None:
        return self.items.get(comment_id)

    def add(self, comment: Comment, author_id: str, event: Entry) -> None:
        self._world.check_alive(comment.post_id)
        if self.deleted_parent:
            raise ParentDeletedError
        self.items[comment.comment_id] = comment
        self._world.stored(event, comment, author_id, comment.comment_id)

    def replace(self, before: Comment, after: Comment) -> bool:
        self._world.check_alive(before.post_id)
        if self.conflicts:
            self.conflicts -= 1
            self.items[before.comment_id] = structs.replace(before, version=before.version + 1)
            return False
        self.items[before.comment_id] = after
        return True

    def remove(self, comment: Comment, event: Entry) -> bool:
        self._world.check_alive(comment.post_id)
        if self.items.pop(comment.comment_id, None) is None:
            return False
        self._world.events.append(event)
        return True

    def list_oldest(self, post_id: str, count: int, after: str | None) -> CommentSlice:
        ordered = sorted(
            (c for c in self.items.values() if c.post_id == post_id), key=lambda c: c.created_at
        )
        remaining = [c for c in ordered if after is None or c.created_at > after]
        return CommentSlice(
            remaining[:count], remaining[count - 1].created_at if len(remaining) > count else None
        )


class FakeLikes:
    def __init__(self, world: "World") -> None:
        self._world = world
        self.likes: set[tuple[str, str]] = set()

    def add(self, post_id: str, user_id: str, event: Entry) -> bool:
        self._world.check_alive(post_id)
        self.likes.add((post_id, user_id))
        self._world.events.append(event)
        return True

    def remove(self, post_id: str, user_id: str, event: Entry) -> bool:
        self._world.check_alive(post_id)
        self.likes.discard((post_id, user_id))
        self._world.events.append(event)
        return True

    def read_engagement(
        self, post_ids: Sequence[str], user_id: str | None
    ) -> dict[str, Engagement]:
        comments = [comment.post_id for comment in self._world.comments.items.values()]
        return {
            post_id: Engagement(
                sum(liked == post_id for liked, _ in self.likes),
                comments.count(post_id),
                (post_id, user_id) in self.likes,
            )
            for post_id in post_ids
        }


@dataclass
class World:
    """The services for posts and comments, and their fakes.

    Each stored item advances the clock by 1 ms.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Entry] = field(default_factory=list)
    authors: FakeAuthors = field(default_factory=FakeAuthors)
    aliases: FakeAliases = field(default_factory=FakeAliases)
    names: FakeNames = field(default_factory=FakeNames)
    images: FakeImages = field(default_factory=FakeImages)
    being_deleted: set[str] = field(default_factory=set)
    """Ids of posts that are deleted between the read and the write of a request."""

    def __post_init__(self) -> None:
        self.posts = FakePosts(self)
        self.comments = FakeComments(self)
        self.likes = FakeLikes(self)
        authorship = Authorship(self.authors, self.aliases, self.names)
        self.service = PostService(
            posts=self.posts,
            likes=self.likes,
            images=self.images,
            authorship=authorship,
            events=FakeEvents(),
            image_url=lambda key: f"https://cdn.test/{key}",
            shards=2,
            clock=self.clock,
            sleep=lambda _seconds: None,
        )
        self.discussion = CommentService(
            posts=self.posts,
            comments=self.comments,
            authorship=authorship,
            events=FakeEvents(),
            clock=self.clock,
            sleep=lambda _seconds: None,
        )

    def stored(self, event: Entry, item: Post | Comment, author_id: str, item_id: str) -> None:
        self.events.append(event)
        if item.is_anonymous:
            self.authors[item_id] = author_id
        self.clock.advance(0.001)

    def check_alive(self, post_id: str) -> None:
        if post_id not in self.posts.items or post_id in self.being_deleted:
            raise DeletedError
