"""Tests the stores of posts, comments and likes, and the removal of deleted posts, on moto."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from msgspec import structs

from lambdas.common.logs import Logger
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.authors import AuthorStore
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import unpack
from lambdas.post import comments as comments_module
from lambdas.post.comments import DynamoCommentStore, ParentDeletedError
from lambdas.post.images import S3Images
from lambdas.post.likes import NO_ENGAGEMENT, DynamoLikeStore, Engagement
from lambdas.post.posts import DeletedError, DynamoPostStore
from lambdas.post.records import Comment, Post, position
from lambdas.post.removal import NotFinishedError, Removal
from lambdas.post.timeline import MONTHS_ITEM, Months, bucket
from tests.lambdas.support import NOW, REGION, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHARDS = 2
ANN = "id-of-ann"
PNG = b"\x89PNG\r\n\x1a\nrest"


class World:
    """The service's stores on one client of DynamoDB, real or fake."""

    def __init__(self, dynamodb: Any, bucket_name: str, logger: Logger) -> None:
        self.dynamodb = dynamodb
        self.clock = FakeClock()
        self.authors = AuthorStore(dynamodb, "platform-authors")
        self.posts = DynamoPostStore(
            dynamodb,
            posts="post-posts",
            tags="post-tags",
            months=Months(dynamodb, "post-counters"),
            authors=self.authors,
            shards=SHARDS,
            clock=self.clock,
        )
        self.likes = DynamoLikeStore(
            dynamodb, likes="post-likes", counters="post-counters", posts=self.posts
        )
        self.comments = DynamoCommentStore(
            dynamodb,
            comments="post-comments",
            counters="post-counters",
            posts=self.posts,
            authors=self.authors,
        )
        self.s3: Any = boto3.client("s3", region_name=REGION)
        self.images = S3Images(lambda: self.s3, bucket_name)
        self.outbox = OutboxWriter("platform-outbox", "post", logger, self.clock)
        self.removal = Removal(
            posts=self.posts,
            comments=self.comments,
            likes=self.likes,
            images=self.images,
            events=self.outbox,
        )

    def event(self, event_type: str = "Something") -> Any:
        return self.outbox.put(event_type, actor_id="actor", data={})

    def post(
        self, number: int = 1, *, author_id: str = ANN, anonymous: bool = False, **fields: Any
    ) -> Post:
        """Stores a post. Its time is NOW plus `number` milliseconds."""
        post_id = f"{number:08x}{number:024x}"
        seconds = fields.pop("seconds", NOW + number / 1000)
        created_at = position(seconds, post_id)
        byline: dict[str, Any] = (
            {"alias_id": f"alias-{number}"} if anonymous else {"author_id": author_id}
        )
        post = Post(
            post_id=post_id,
            created_at=created_at,
            updated_at=created_at[:24],
            timeline_bucket=bucket(created_at, post_id, SHARDS),
            author_name="A name",
            **{"content": "x", "version": 1, **byline, **fields},
        )
        self.posts.add(post, author_id, self.event("PostCreated"))
        return post

    def comment(
        self, post: Post, number: int = 1, *, author_id: str = ANN, **fields: Any
    ) -> Comment:
        comment_id = f"{post.post_id[:16]}{number:016x}"
        created_at = position(NOW + number / 1000, comment_id)
        byline = {} if "alias_id" in fields else {"author_id": author_id}
        comment = Comment(
            comment_id=comment_id,
            post_id=post.post_id,
            created_at=created_at,
            updated_at=created_at[:24],
            author_name="A name",
            **{"content": "x", "version": 1, **byline, **fields},
        )
        self.comments.add(comment, author_id, self.event("CommentCreated"))
        return comment

    def bury(self, post: Post) -> bool:
        return self.posts.mark_deleted(
            post, "2027-01-15T09:00:00.000Z", "moderator", self.event("PostDeleted")
        )

    def items(self, table: str) -> list[dict[str, Any]]:
        return [unpack(item) for item in self.dynamodb.scan(TableName=table)["Items"]]

    def events(self, event_type: str) -> list[dict[str, Any]]:
        items_of_type = [
            item for item in self.items("platform-outbox") if item["event_type"] == event_type
        ]
        return [msgspec.json.decode(item["detail"]) for item in items_of_type]

    def count(self, post: Post, user_id: str | None = None) -> Engagement:
        return self.likes.read_engagement([post.post_id], user_id)[post.post_id]


@pytest.fixture(autouse=True)
def declared_types() -> None:
    """Turns off the check of declared types, because these tests use invented event data."""


@pytest.fixture
def make_world(
    dynamodb: "DynamoDBClient", tables: Mapping[str, str], bucket: str, logger: Logger
) -> Callable[..., World]:
    return lambda client=dynamodb: World(client, bucket, logger)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


def numbers(posts: Iterable[Post]) -> list[int]:
    return [int(post.post_id[:8], 16) for post in posts]


# --- posts ---


def test_a_stored_post_is_found_unchanged_and_has_an_event(world: World) -> None:
    post = world.post(title="Title", tags=("a", "B"), images=("images/1",))
    assert world.posts.find(post.post_id) == post
    assert world.posts.find("0" * 32) is None
    assert len(world.events("PostCreated")) == 1


def test_the_timeline_spans_shards_and_months(world: World) -> None:
    world.clock.now = NOW + 1
    for number in range(1, 8):
        world.post(number)
    for number in range(8, 11):
        world.post(number, seconds=NOW - 400 * 86_400 - number)
    first = world.posts.list_newest(4, None)
    second = world.posts.list_newest(4, first.position)
    third = world.posts.list_newest(4, second.position)
    assert [numbers(page.posts) for page in (first, second, third)] == [
        [7, 6, 5, 4],
        [3, 2, 1, 8],
        [9, 10],
    ]
    assert third.position is None


def test_each_execution_environment_records_a_month_only_once(
    make_world: Callable[..., World], dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    updates: list[Any] = []
    update = dynamodb.update_item

    def counted(**sent: Any) -> Any:
        updates.append(sent)
        return update(**sent)

    monkeypatch.setattr(dynamodb, "update_item", counted)
    first, second = make_world(), make_world()
    for number in range(1, 4):
        first.post(number)
        second.post(number + 10)
    assert len(updates) == 2
    (months,) = (
        item["months"] for item in first.items("post-counters") if item["item_id"] == MONTHS_ITEM
    )
    assert months == {"2027-01"}


def test_the_posts_of_an_author_exclude_anonymous_posts(world: World) -> None:
    for number in range(1, 6):
        world.post(number, anonymous=number == 3)
    world.post(9, author_id="id-of-bob")
    first = world.posts.list_by_author(ANN, 3, None)
    assert (numbers(first.posts), first.position is None) == ([5, 4, 2], False)
    second = world.posts.list_by_author(ANN, 3, first.position)
    assert (numbers(second.posts), second.position) == ([1], None)
    assert world.authors.author_of(f"{3:08x}{3:024x}") == ANN
    assert world.authors.author_of(f"{1:08x}{1:024x}") is None


def test_tags_ignore_case_and_a_search_reflects_changes_of_a_post(world: World) -> None:
    posts = [
        world.post(number, tags=("Straße", "x") if number % 2 else ("x",)) for number in range(1, 6)
    ]
    assert numbers(world.posts.list_by_tag("STRASSE", 10, None).posts) == [5, 3, 1]
    first = world.posts.list_by_tag("x", 2, None)
    assert numbers(first.posts) == [5, 4]
    assert numbers(world.posts.list_by_tag("x", 2, first.position).posts) == [3, 2]
    changed = structs.replace(posts[4], tags=("X", "new"), version=2)
    assert world.posts.replace(posts[4], changed)
    assert numbers(world.posts.list_by_tag("straße", 10, None).posts) == [3, 1]
    assert numbers(world.posts.list_by_tag("new", 10, None).posts) == [5]
    assert numbers(world.posts.list_by_tag("x", 1, None).posts) == [5]
    world.bury(posts[2])
    assert numbers(world.posts.list_by_tag("straße", 10, None).posts) == [1]


def test_a_search_by_author_and_tag_continues_after_several_reads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.post.posts.AUTHOR_READ", 3)
    monkeypatch.setattr("lambdas.post.posts.AUTHOR_READS", 2)
    for number in range(1, 13):
        world.post(number, tags=("T",) if number in {1, 2, 11} else ())
    first = world.posts.list_by_author_and_tag(ANN, "t", 2, None)
    assert numbers(first.posts) == [11]
    second = world.posts.list_by_author_and_tag(ANN, "t", 1, first.position)
    assert numbers(second.posts) == [2]
    third = world.posts.list_by_author_and_tag(ANN, "t", 2, second.position)
    assert (numbers(third.posts), third.position) == ([1], None)


def test_a_post_is_not_replaced_if_it_changed_since_it_was_read(world: World) -> None:
    post = world.post()
    changed = structs.replace(post, content="y", version=2)
    assert world.posts.replace(post, changed)
    assert not world.posts.replace(post, structs.replace(post, content="z", version=2))
    assert world.posts.find(post.post_id) == changed
    assert not world.bury(post)
    assert world.events("PostDeleted") == []


def test_a_deleted_post_is_hidden_and_keeps_only_the_data_that_its_removal_needs(
    world: World,
) -> None:
    post = world.post(tags=("t",), anonymous=True, title="Secret title")
    assert world.bury(post)
    assert world.posts.find(post.post_id) is None
    assert world.posts.list_newest(10, None).posts == []
    assert world.posts.list_by_tag("t", 10, None).posts == []
    assert not world.bury(post)
    assert not world.posts.replace(post, post)
    assert len(world.events("PostDeleted")) == 1
    (item,) = world.items("post-posts")
    assert item.keys() == {"post_id", "deleted_at", "deleted_by", "was_created_at", "had_tags"}


def test_a_page_of_large_posts_has_the_requested_length(
    world: World, dynamodb: "DynamoDBClient"
) -> None:
    for number in range(1, 41):
        world.post(number, content="\N{GRINNING FACE}" * 10_000)
    assert len(world.posts.list_by_author(ANN, 40, None).posts) == 40


# --- likes ---


def test_a_user_likes_and_unlikes_a_post_once(world: World) -> None:
    post = world.post()
    assert world.count(post) == NO_ENGAGEMENT
    assert world.likes.add(post.post_id, "ann", world.event("PostLiked"))
    assert not world.likes.add(post.post_id, "ann", world.event("PostLiked"))
    assert world.likes.add(post.post_id, "bob", world.event("PostLiked"))
    assert world.count(post, "ann") == Engagement(likes=2, comments=0, liked=True)
    assert world.count(post, "eve") == Engagement(likes=2, comments=0, liked=False)
    assert world.likes.remove(post.post_id, "ann", world.event("PostUnliked"))
    assert not world.likes.remove(post.post_id, "ann", world.event("PostUnliked"))
    assert world.count(post, "ann") == Engagement(likes=1)
    assert (len(world.events("PostLiked")), len(world.events("PostUnliked"))) == (2, 1)


def test_a_deleted_post_cannot_be_liked_or_unliked(world: World) -> None:
    post = world.post()
    world.likes.add(post.post_id, "ann", world.event())
    world.bury(post)
    for change, user in (
        (world.likes.add, "bob"),
        (world.likes.add, "ann"),
        (world.likes.remove, "ann"),
    ):
        with pytest.raises(DeletedError):
            change(post.post_id, user, world.event("PostLiked"))
    assert world.count(post).likes == 1
    assert world.events("PostLiked") == []


# --- comments ---


def test_comments_are_listed_oldest_first_and_counted(world: World) -> None:
    post, other_post = world.post(1), world.post(2)
    created = [world.comment(post, number) for number in range(1, 6)]
    world.comment(other_post)
    first = world.comments.list_oldest(post.post_id, 3, None)
    second = world.comments.list_oldest(post.post_id, 3, first.position)
    assert [*first.comments, *second.comments] == created
    assert (len(first.comments), second.position) == (3, None)
    assert world.count(post) == Engagement(comments=5)
    assert world.comments.find(created[0].comment_id) == created[0]
    assert world.comments.find("0" * 32) is None


def test_repeating_a_replacement_or_removal_of_a_comment_has_no_effect(world: World) -> None:
    post = world.post()
    comment = world.comment(post, alias_id="alias-9", author_id="id-of-bob")
    assert world.authors.author_of(comment.comment_id) == "id-of-bob"
    assert "author_id" not in world.items("post-comments")[0]
    changed = structs.replace(comment, content="y", version=2)
    assert world.comments.replace(comment, changed)
    assert not world.comments.replace(comment, changed)
    assert world.comments.remove(changed, world.event("CommentDeleted"))
    assert not world.comments.remove(changed, world.event("CommentDeleted"))
    assert not world.comments.replace(changed, changed)
    assert world.count(post) == NO_ENGAGEMENT
    assert len(world.events("CommentDeleted")) == 1
    assert world.authors.author_of(comment.comment_id) is None


def test_a_reply_to_a_removed_comment_is_rejected(world: World) -> None:
    post = world.post()
    parent = world.comment(post, 1)
    reply = world.comment(post, 2, parent_id=parent.comment_id, depth=2)
    assert world.comments.find(reply.comment_id) == reply
    world.comments.remove(parent, world.event())
    with pytest.raises(ParentDeletedError):
        world.comment(post, 3, parent_id=parent.comment_id, depth=2)
    assert world.count(post).comments == 1


def test_a_deleted_post_accepts_no_change_of_comments(world: World) -> None:
    post = world.post()
    comment = world.comment(post)
    world.bury(post)
    with pytest.raises(DeletedError):
        world.comment(post, 2)
    with pytest.raises(DeletedError):
        world.comments.replace(comment, structs.replace(comment, version=2))
    with pytest.raises(DeletedError):
        world.comments.remove(comment, world.event())


# --- removal of a deleted post ---


class Killed(BaseException):
    """Raised to end the function. No error handler catches a BaseException."""


class KillingClient:
    """An AWS client that allows `calls` calls, then raises Killed before or after the next one."""

    def __init__(self, client: Any, calls: list[int], *, after: bool) -> None:
        self._client = client
        self._calls = calls
        self._after = after

    def get_paginator(self, operation: str) -> Any:
        paginator = self._client.get_paginator(operation)
        return type(
            "Pages",
            (),
            {"paginate": staticmethod(lambda **sent: self._call(paginator.paginate, **sent))},
        )

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda **sent: self._call(method, **sent)

    def _call(self, method: Any, **sent: Any) -> Any:
        self._calls[0] -= 1
        if self._calls[0] < 0 and not self._after:
            raise Killed
        response = method(**sent)
        if self._calls[0] < 0:
            raise Killed
        return response


def delete_popular_post(world: World, number: int) -> Post:
    """Creates a post with tags, images, comments and likes.

    Deletes the post, but does not run the removal of its data.
    """
    post = world.post(
        number,
        tags=("t", "u"),
        anonymous=True,
        images=(f"images/post/{number:08x}{number:024x}/known",),
    )
    for name in ("known", "left-by-a-crash"):
        world.s3.put_object(
            Bucket="attachments", Key=f"images/post/{post.post_id}/{name}", Body=PNG
        )
    for i in range(1, 6):
        world.comment(post, i, **({"alias_id": f"alias-{i}"} if i % 2 else {}))
    for user in ("ann", "bob", "eve"):
        world.likes.add(post.post_id, user, world.event())
    assert world.bury(post)
    return post


def remaining_data(world: World, post: Post) -> list[Any]:
    """Returns all items and objects that belong to the post, except events."""
    items: list[Any] = [
        item
        for table in (
            "post-posts",
            "post-comments",
            "post-likes",
            "post-counters",
            "post-tags",
            "platform-authors",
        )
        for item in world.items(table)
        if post.post_id in str(item) or post.post_id[:16] in str(item)
    ]
    listed = world.s3.list_objects_v2(Bucket="attachments", Prefix=f"images/post/{post.post_id}/")
    return [*items, *listed.get("Contents", [])]


@pytest.mark.parametrize("after", [False, True], ids=["before a call", "after a call"])
def test_the_next_attempt_finishes_a_removal_that_was_killed_at_any_call(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Removes several posts. Kills the first removal at its first AWS call.

    Kills the second removal at its second call, and so on. Ends when a removal completes because it
    has fewer calls than the number of the call at which it would be killed.
    """
    monkeypatch.setattr(comments_module, "CHUNK", 2)
    world, kills = make_world(), 0
    other_post = world.post(999, tags=("t",))
    world.comment(other_post)
    world.likes.add(other_post.post_id, "ann", world.event())
    before = remaining_data(world, other_post)
    while True:
        post = delete_popular_post(world, kills + 1)
        calls = [kills]
        killed_world = make_world(KillingClient(world.dynamodb, calls, after=after))
        killed_world.s3 = KillingClient(world.s3, calls, after=after)
        try:
            killed_world.removal.finish(post.post_id)
        except Killed:
            kills += 1
            assert world.posts.find(post.post_id) is None
            world.removal.finish(post.post_id)
        else:
            break
        finally:
            assert remaining_data(world, post) == []
            events = [
                e for e in world.events("CommentDeleted") if e["data"]["postId"] == post.post_id
            ]
            assert len({e["data"]["commentId"] for e in events}) == len(events) == 5
    assert kills > 12
    assert remaining_data(world, other_post) == before
    world.removal.finish(post.post_id)


def test_the_likes_of_a_deleted_public_post_are_counted_once(
    make_world: Callable[..., World],
) -> None:
    world, kills = make_world(), 0
    while True:
        post = world.post(kills + 1)
        for user in ("ann", "bob", "eve"):
            world.likes.add(post.post_id, user, world.event())
        assert world.bury(post)
        killed_world = make_world(KillingClient(world.dynamodb, [kills], after=True))
        try:
            killed_world.removal.finish(post.post_id)
        except Killed:
            kills += 1
            world.removal.finish(post.post_id)
        else:
            break
        finally:
            events = [
                event["data"]
                for event in world.events("PostLikesRemoved")
                if event["data"]["postId"] == post.post_id
            ]
            assert events == [{"postId": post.post_id, "authorId": ANN, "likes": 3}]
    assert kills > 3
    anonymous = world.post(900, anonymous=True)
    world.likes.add(anonymous.post_id, "ann", world.event())
    assert world.bury(anonymous)
    world.removal.finish(anonymous.post_id)
    assert len(world.events("PostLikesRemoved")) == kills + 1


def test_events_of_removed_comments_do_not_reveal_anonymous_authors(
    world: World,
) -> None:
    post = delete_popular_post(world, 1)
    world.removal.finish(post.post_id)
    events = world.events("CommentDeleted")
    assert {event["actorId"] for event in events} == {"moderator"}
    assert sorted((e["data"]["isAnonymous"], e["data"].get("authorId")) for e in events) == [
        (False, ANN),
        (False, ANN),
        (True, None),
        (True, None),
        (True, None),
    ]


def test_removal_does_not_finish_while_a_comment_is_missing_in_the_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = delete_popular_post(world, 1)
    with monkeypatch.context() as patch:
        patch.setattr(world.comments, "_of_post", lambda *_: iter(()))
        with pytest.raises(NotFinishedError):
            world.removal.finish(post.post_id)
    assert world.posts.find_tombstone(post.post_id) is not None
    world.removal.finish(post.post_id)
    assert remaining_data(world, post) == []


def test_a_removed_comment_that_is_still_in_the_index_has_one_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = delete_popular_post(world, 1)
    comments = world.comments.list_oldest(post.post_id, 10, None).comments
    with monkeypatch.context() as patch:
        patch.setattr(world.comments, "_of_post", lambda *_: iter(comments[:2]))
        with pytest.raises(NotFinishedError):
            world.removal.finish(post.post_id)
        patch.setattr(world.comments, "_of_post", lambda *_: iter(comments))
        world.removal.finish(post.post_id)
    assert remaining_data(world, post) == []
    events = [event["data"]["commentId"] for event in world.events("CommentDeleted")]
    assert sorted(events) == sorted(comment.comment_id for comment in comments)


def test_removal_changes_nothing_if_the_post_is_not_deleted(world: World) -> None:
    post = world.post(tags=("t",))
    world.comment(post)
    world.removal.finish(post.post_id)
    world.removal.finish("0" * 32)
    assert world.posts.find(post.post_id) == post
    assert world.count(post).comments == 1


# --- images ---


def test_an_upload_becomes_an_image_whose_key_does_not_reveal_the_uploader(
    world: World,
) -> None:
    upload = world.images.sign(ANN, "image/png", len(PNG))
    world.s3.put_object(Bucket="attachments", Key=upload.key, Body=PNG, ContentType="image/png")
    key = world.images.use(ANN, {upload.key: 0}, "p" * 32)[upload.key]
    assert key.startswith(f"images/post/{'p' * 32}/")
    assert ANN not in key
    assert world.s3.get_object(Bucket="attachments", Key=key)["ContentType"] == "image/png"
    assert world.images.use(ANN, {}, "p" * 32) == {}
    with pytest.raises(Problem) as refusal:
        world.images.use("id-of-bob", {upload.key: 1, "x": 3}, "p" * 32)
    assert [error.field for error in refusal.value.errors] == ["images.1", "images.3"]
    world.images.remove([key])
    assert "Contents" not in world.s3.list_objects_v2(Bucket="attachments", Prefix="images/")
