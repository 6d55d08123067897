"""Posts, comments and likes on the applied platform: at once, in long lists, to the end of a deletion, and without a name."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import pytest
import urllib3
from aws_lambda_powertools.logging import Logger
from msgspec import to_builtins

from lambdas.common.clock import new_id
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.authors import AuthorStore
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.post.comments import DynamoCommentStore
from lambdas.post.images import S3Images
from lambdas.post.likes import DynamoLikeStore
from lambdas.post.posts import DynamoPostStore
from lambdas.post.records import Post, position
from lambdas.post.removal import Removal
from lambdas.post.timeline import Months, bucket
from tests.e2e.support import Answer, Api, Platform, User, eventually

POSTS = "/v1/posts"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
HOSTILE = (
    "'; DROP TABLE posts; --",
    "<script>alert(1)</script>",
    '{"$gt": ""}',
    "${jndi:ldap://x/y}",
    "attribute_exists(post_id) OR :value = :value",
    "../../etc/passwd",
    '\N{RIGHT-TO-LEFT OVERRIDE}evil\N{GRINNING FACE} \\u0000 \\ "',
    "%00%0d%0aSet-Cookie: x=1",
)


@pytest.fixture
def ann(platform: Platform) -> User:
    return User.made(platform, "Ann Example")


@pytest.fixture
def bob(platform: Platform) -> User:
    return User.made(platform, "Bob Example")


@pytest.fixture
def busy(platform: Platform) -> Api:
    """The API for fifty at once."""
    return Api(platform.api_url, connections=50)


def written(api: Api, who: User, content: str = "Hello", at: str = "", **more: Any) -> Any:
    return api.post(POSTS + at, {"content": content, **more}, token=who.token).expect(201)


def seen(api: Api, who: User, at: str) -> Any:
    return api.get(POSTS + at, token=who.token).expect(200)


def insistently(call: Callable[[], Answer]) -> Answer:
    """The answer to a call that is made again, as clients do, while the function has all its places taken, its tables are busy, or
    fifty processes that start at once on two cores take longer than it may.

    It must be one that may be repeated.
    """

    def answered() -> Answer | None:
        try:
            answer = call()
        except urllib3.exceptions.TimeoutError:
            return None
        return None if answer.status in {409, 429} or answer.status >= 500 else answer

    return eventually(answered, seconds=180, interval=1.0)


def failures(platform: Platform) -> int:
    """How many requests the service itself has answered with a 500."""
    lines = (json.loads(line) for line in platform.logged("post") if line.startswith("{"))
    return sum(line.get("status") == 500 for line in lines)


def items(platform: Platform, table: str) -> list[dict[str, Any]]:
    pages = platform.aws("dynamodb").get_paginator("scan").paginate(TableName=f"{table}-local")
    return [unpack(item) for page in pages for item in page["Items"]]


@pytest.fixture
def bus(platform: Platform) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Gives the post service's events since the test began."""
    events, sqs = platform.aws("events"), platform.aws("sqs")
    name, on_bus = (
        f"test-{uuid.uuid4().hex[:12]}",
        {"EventBusName": platform.outputs["event_bus_name"]},
    )
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["multitask.post"]}), **on_bus)
    events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": arn}], **on_bus)
    found: list[dict[str, Any]] = []

    def received() -> list[dict[str, Any]]:
        reply = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in reply.get("Messages", []):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield received
    events.remove_targets(Rule=name, Ids=["inbox"], **on_bus)
    events.delete_rule(Name=name, **on_bus)
    sqs.delete_queue(QueueUrl=url)


# --- at once ---


def test_fifty_likes_at_once_by_one_user_count_one(
    platform: Platform, busy: Api, ann: User, bob: User
) -> None:
    failed = failures(platform)
    at = f"/{written(busy, ann)['postId']}"
    like = f"{POSTS}{at}/like"
    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(
                lambda _: insistently(lambda: busy.call("PUT", like, token=bob.token)), range(50)
            )
        )
    assert {answer.status for answer in answers} == {204}
    post = seen(busy, bob, at)
    assert (post["likesCount"], post["likedByMe"]) == (1, True)
    assert failures(platform) == failed
    for _ in range(2):
        busy.delete(like, token=bob.token).expect(204)
    assert seen(busy, bob, at)["likesCount"] == 0


def test_fifty_likes_at_once_by_fifty_users_count_fifty(
    platform: Platform, busy: Api, ann: User
) -> None:
    failed = failures(platform)
    crowd = [User.made(platform, f"User {number}") for number in range(50)]
    at = f"/{written(busy, ann)['postId']}"
    like = f"{POSTS}{at}/like"
    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(
                lambda who: insistently(lambda: busy.call("PUT", like, token=who.token)), crowd
            )
        )
    assert {answer.status for answer in answers} == {204}
    assert seen(busy, crowd[0], at)["likesCount"] == 50
    assert failures(platform) == failed


def test_comments_at_once_are_all_counted(busy: Api, ann: User, bob: User) -> None:
    at = f"/{written(busy, ann)['postId']}"

    def comment(number: int) -> Answer:
        body = {"content": str(number)}
        key = {"Idempotency-Key": str(number)}
        return insistently(
            lambda: busy.post(f"{POSTS}{at}/comments", body, token=bob.token, headers=key)
        )

    with ThreadPoolExecutor(10) as threads:
        assert {answer.status for answer in threads.map(comment, range(20))} == {201}
    assert seen(busy, ann, at)["commentsCount"] == 20
    first = seen(busy, ann, f"{at}/comments?limit=15")
    rest = seen(busy, ann, f"{at}/comments?limit=15&cursor={first['nextCursor']}")
    found = [*first["items"], *rest["items"]]
    assert {comment["content"] for comment in found} == {str(number) for number in range(20)}
    assert [c["createdAt"] for c in found] == sorted(c["createdAt"] for c in found)
    assert rest["nextCursor"] is None


# --- long lists ---


def place_posts(
    platform: Platform, author: User, count: int, *, begun: float, **more: Any
) -> list[str]:
    """Writes posts to the table, a millisecond apart, the last one at `begun`; gives their ids, newest first."""
    ids = [new_id() for _ in range(count)]
    puts = []
    for number, post_id in enumerate(ids):
        created_at = position(begun - number / 1000, post_id)
        post = Post(
            post_id=post_id,
            created_at=created_at,
            updated_at=created_at[:24],
            timeline_bucket=bucket(created_at, post_id, 1),
            author_name=author.display_name,
            author_id=author.user_id,
            content=f"Post {number}",
            version=1,
            **more,
        )
        puts.append({"PutRequest": {"Item": pack(to_builtins(post))}})
    dynamodb = platform.aws("dynamodb")
    Months(dynamodb, "post-counters-local").record(position(begun, ids[0]))
    for start in range(0, count, 25):
        dynamodb.batch_write_item(RequestItems={"post-posts-local": puts[start : start + 25]})
    return ids


def test_three_pages_of_250_posts_have_neither_gap_nor_repeat_while_posts_arrive(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    ids = place_posts(platform, ann, 250, begun=time.time())
    found, query = [], "?limit=100"
    for _ in range(3):
        page = seen(api, bob, query)
        found += [post["postId"] for post in page["items"]]
        query = f"?limit=100&cursor={page['nextCursor']}"
        written(api, bob, "An arrival")
    assert found[:250] == ids
    assert len(set(found)) == len(found)
    newest = seen(api, bob, "?limit=3")["items"]
    assert [post["content"] for post in newest] == ["An arrival"] * 3
    own = seen(api, bob, f"?limit=100&authorId={ann.user_id}")
    assert [post["postId"] for post in own["items"]] == ids[:100]


def test_an_authors_list_crosses_years(platform: Platform, api: Api, ann: User, bob: User) -> None:
    old = place_posts(platform, ann, 3, begun=time.time() - 5 * 365 * 86_400)
    new = written(api, ann)["postId"]
    page = seen(api, bob, f"?authorId={ann.user_id}&limit=2")
    rest = seen(api, bob, f"?authorId={ann.user_id}&limit=2&cursor={page['nextCursor']}")
    assert [post["postId"] for post in (*page["items"], *rest["items"])] == [new, *old]


def test_a_cursor_is_good_for_its_own_list_and_unchanged(api: Api, ann: User) -> None:
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    for number in range(3):
        written(api, ann, str(number), tags=[tag.upper()])
    page = seen(api, ann, f"?tag={tag}&limit=2")
    assert [post["content"] for post in page["items"]] == ["2", "1"]
    cursor = page["nextCursor"]
    both = f"?tag={tag}&authorId={ann.user_id}"
    assert [post["content"] for post in seen(api, ann, both)["items"]] == ["2", "1", "0"]
    for wrong in (
        f"?cursor={cursor}",
        f"{both}&cursor={cursor}",
        f"?tag={tag}&cursor=A{cursor[1:]}",
        "?cursor=x",
    ):
        api.get(POSTS + wrong, token=ann.token).problem(400, "invalid_cursor")
    assert api.get(f"{POSTS}?limit=0&authorId=", token=ann.token).wrong_fields() == {
        "limit",
        "authorId",
    }


# --- to the end ---


class Killed(BaseException):
    """The process ends."""


class Mortal:
    """A DynamoDB client of a process that is killed after so many transactions."""

    def __init__(self, client: Any, transactions: int) -> None:
        self._client = client
        self._left = transactions

    def transact_write_items(self, **sent: Any) -> Any:
        answer = self._client.transact_write_items(**sent)
        self._left -= 1
        if self._left == 0:
            raise Killed
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def removal(platform: Platform, dynamodb: Any) -> Removal:
    """The removal of what belonged to a post, as the function has it, in this process."""
    authors = AuthorStore(dynamodb, "platform-authors-local")
    posts = DynamoPostStore(
        dynamodb,
        posts="post-posts-local",
        tags="post-tags-local",
        months=Months(dynamodb, "post-counters-local"),
        authors=authors,
        shards=1,
    )
    counters = "post-counters-local"
    return Removal(
        posts=posts,
        comments=DynamoCommentStore(
            dynamodb,
            comments="post-comments-local",
            counters=counters,
            posts=posts,
            authors=authors,
        ),
        likes=DynamoLikeStore(dynamodb, likes="post-likes-local", counters=counters, posts=posts),
        images=S3Images(lambda: platform.aws("s3"), platform.outputs["attachments_bucket"]),
        events=OutboxWriter("platform-outbox-local", "post", Logger("killed")),
    )


@pytest.fixture
def paused(platform: Platform) -> Iterator[Callable[[], None]]:
    """The function takes nothing from its queue of deletions, until what this gives is called."""
    functions, queue = platform.aws("lambda"), "post-deletions-queue-local"
    sources = functions.list_event_source_mappings()["EventSourceMappings"]
    (source,) = (found for found in sources if found["EventSourceArn"].endswith(queue))

    def switch(*, on: bool) -> None:
        functions.update_event_source_mapping(UUID=source["UUID"], Enabled=on)

    switch(on=False)
    yield lambda: switch(on=True)
    switch(on=True)


def left_of(platform: Platform, post_id: str) -> dict[str, int]:
    """How many items each table has left that belonged to a post."""
    tables = ("post-posts", "post-comments", "post-likes", "post-counters", "post-tags")
    found = {
        table: sum(post_id in map(str, item.values()) for item in items(platform, table))
        for table in tables
    }
    return {table: count for table, count in found.items() if count}


def test_a_deletion_killed_midway_is_finished_by_the_function(
    platform: Platform,
    busy: Api,
    ann: User,
    bob: User,
    paused: Callable[[], None],
    bus: Callable[[], list[dict[str, Any]]],
) -> None:
    post_id = written(busy, ann, tags=["going"])["postId"]
    at = f"/{post_id}"

    def comment(number: int) -> Answer:
        body = {"content": str(number), "isAnonymous": number % 2 == 0}
        key = {"Idempotency-Key": str(number)}
        return insistently(
            lambda: busy.post(f"{POSTS}{at}/comments", body, token=bob.token, headers=key)
        )

    with ThreadPoolExecutor(10) as threads:
        comments = [answer.expect(201)["commentId"] for answer in threads.map(comment, range(40))]
    busy.call("PUT", f"{POSTS}{at}/like", token=bob.token).expect(204)
    busy.delete(POSTS + at, token=ann.token).expect(204)

    def closed() -> None:
        busy.get(POSTS + at, token=ann.token).problem(404, "post_not_found")
        busy.get(f"{POSTS}{at}/comments", token=ann.token).problem(404, "post_not_found")
        busy.call("PUT", f"{POSTS}{at}/like", token=bob.token).problem(404, "post_not_found")
        busy.post(f"{POSTS}{at}/comments", {"content": "x"}, token=bob.token).problem(
            404, "post_not_found"
        )
        assert seen(busy, bob, f"?tag=going&authorId={ann.user_id}")["items"] == []
        assert post_id not in {post["postId"] for post in seen(busy, bob, "?limit=100")["items"]}

    closed()
    with pytest.raises(Killed):
        removal(platform, Mortal(platform.aws("dynamodb"), 1)).finish(post_id)
    half = left_of(platform, post_id)
    assert half == {"post-posts": 1, "post-comments": 7, "post-counters": 1}
    closed()
    paused()
    eventually(lambda: not left_of(platform, post_id), seconds=60)
    authors = {item["item_id"] for item in items(platform, "platform-authors")}
    assert not authors & {post_id, *comments}

    def deleted() -> list[str] | None:
        told = [
            e["detail"]["data"]["commentId"] for e in bus() if e["detail-type"] == "CommentDeleted"
        ]
        return told if len(told) >= len(comments) else None

    assert sorted(eventually(deleted, seconds=60)) == sorted(comments)


def test_images_are_served_and_go_with_their_post(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    def upload(content: bytes) -> str:
        return api.upload(f"{POSTS}/uploads", content, token=ann.token)

    wrong = upload(b"GIF89a" + bytes(64))
    refused = api.post(
        POSTS, {"content": "x", "images": [wrong, "uploads/post/x/y"]}, token=ann.token
    )
    assert refused.wrong_fields() == {"images.0", "images.1"}
    stolen = api.post(POSTS, {"content": "x", "images": [key := upload(PNG)]}, token=bob.token)
    assert stolen.wrong_fields() == {"images.0"}
    post = written(api, ann, images=[key], isAnonymous=True)
    (address,) = post["images"]
    answer = platform.served(address)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, PNG, "image/png")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ann.user_id not in address
    assert seen(api, bob, f"/{post['postId']}")["images"] == [address]
    api.delete(f"{POSTS}/{post['postId']}", token=ann.token).expect(204)
    eventually(lambda: platform.served(address).status in {403, 404}, seconds=60)


# --- whose ---


def test_author_and_moderators_change_and_delete(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    moderator = User.made(platform, "Mo", "moderator")
    post = written(api, ann)
    at = f"/{post['postId']}"
    comment = written(api, bob, "Hi", f"{at}/comments")
    below = f"{POSTS}{at}/comments/{comment['commentId']}"
    for who, place in (
        (bob, POSTS + at),
        (moderator, POSTS + at),
        (ann, below),
        (moderator, below),
    ):
        api.call("PATCH", place, {"content": "x"}, token=who.token).problem(403, "not_the_author")
    fresh = {"If-Match": '"1"'}
    changed = api.call(
        "PATCH", POSTS + at, {"content": "New", "title": "T"}, token=ann.token, headers=fresh
    )
    assert (changed.expect(200)["version"], changed.headers["ETag"]) == (2, '"2"')
    api.call("PATCH", POSTS + at, {"content": "Old"}, token=ann.token, headers=fresh).problem(
        412, "stale_version"
    )
    api.call("PATCH", below, {"content": "Ho"}, token=bob.token, headers=fresh).expect(200)
    api.call("PATCH", below, {"content": "Hu"}, token=bob.token, headers=fresh).problem(412)
    api.delete(below, token=ann.token).problem(403, "not_the_author")
    api.delete(POSTS + at, token=bob.token).problem(403, "not_the_author")
    api.delete(below, token=moderator.token).expect(204)
    assert seen(api, ann, at)["commentsCount"] == 0
    api.delete(POSTS + at, token=moderator.token).expect(204)


def test_anonymous_users_read_write_and_do_no_more(api: Api, ann: User) -> None:
    session = api.post("/v1/auth/anonymous", {}).expect(201)
    visitor = User(session["anonymousId"], session["displayName"], session["accessToken"])
    post = written(api, visitor)
    assert (post["isAnonymous"], "authorId" in post) == (True, False)
    assert post["authorName"] != visitor.display_name
    api.post(POSTS, {"content": "x", "isAnonymous": False}, token=visitor.token).problem(
        403, "anonymous_not_allowed"
    )
    at = f"/{written(api, ann)['postId']}"
    assert written(api, visitor, "Hi", f"{at}/comments")["isAnonymous"] is True
    api.call("PUT", f"{POSTS}{at}/like", token=visitor.token).problem(403, "anonymous_not_allowed")
    body = {"contentType": "image/png", "contentLength": 10}
    api.post(f"{POSTS}/uploads", body, token=visitor.token).problem(403, "anonymous_not_allowed")
    api.call("PATCH", f"{POSTS}/{post['postId']}", {"content": "y"}, token=visitor.token).expect(
        200
    )
    api.delete(f"{POSTS}/{post['postId']}", token=visitor.token).expect(204)


# --- without a name ---


def test_an_anonymous_author_is_told_nowhere(
    platform: Platform, api: Api, bob: User, bus: Callable[[], list[dict[str, Any]]]
) -> None:
    ann = User.made(platform, f"Author {uuid.uuid4().hex}")
    answers: list[Answer] = []

    def call(
        method: str,
        path: str,
        body: object = None,
        *,
        who: User = ann,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        answer = api.call(method, POSTS + path, body, token=who.token, headers=headers)
        answers.append(answer)
        return answer.json if answer.body else None

    tag = f"tag-{uuid.uuid4().hex[:8]}"
    key = {"Idempotency-Key": uuid.uuid4().hex}
    post = call("POST", "", {"content": "Hidden", "isAnonymous": True, "tags": [tag]}, headers=key)
    at = f"/{post['postId']}"
    assert (
        call("POST", "", {"content": "Hidden", "isAnonymous": True, "tags": [tag]}, headers=key)
        == post
    )
    comment = call("POST", f"{at}/comments", {"content": "Mine", "isAnonymous": True})
    below = f"{at}/comments/{comment['commentId']}"
    assert comment["authorName"] == post["authorName"]
    call("PATCH", at, {"content": "Still hidden"}, headers={"If-Match": '"1"'})
    call("PATCH", at, {"content": "Stale"}, headers={"If-Match": '"1"'})
    call("PATCH", below, {"content": "Still mine"})
    call("PUT", f"{at}/like", who=bob)
    for path in (at, f"{at}/comments", "?limit=100", f"?tag={tag}", f"?authorId={ann.user_id}"):
        call("GET", path, who=bob)
    assert answers[-1].json["items"] == []
    assert [found["postId"] for found in answers[-2].json["items"]] == [post["postId"]]
    call("DELETE", at, who=bob)
    call("DELETE", below)
    call("DELETE", at)
    statuses = [answer.status for answer in answers]
    assert statuses == [201, 201, 201, 200, 412, 200, 204, 200, 200, 200, 200, 200, 403, 204, 204]
    names = (ann.user_id, ann.display_name, ann.session_id)
    for answer in answers:
        told = f"{answer.headers} {answer.body.decode()}"
        assert not [name for name in names if name in told]

    def all_told() -> list[dict[str, Any]] | None:
        mine = [e for e in bus() if e["detail"]["data"]["postId"] == post["postId"]]
        return mine if len(mine) >= 5 else None

    events = eventually(all_told, seconds=60)
    kinds = sorted(event["detail-type"] for event in events)
    assert kinds == ["CommentCreated", "CommentDeleted", "PostCreated", "PostDeleted", "PostLiked"]
    assert not [name for name in names if name in json.dumps(events)]
    aliases = {e["detail"]["actorId"] for e in events if e["detail-type"] != "PostLiked"}
    assert len(aliases) == 1
    knowing = {"auth-sessions", "profile-aliases", "platform-authors"}
    for name in platform.outputs["tables"]:
        if name not in knowing:
            assert not [
                i for i in items(platform, name) if any(known in str(i) for known in names)
            ], name
    told = "\n".join(
        line for name in platform.outputs["functions"] for line in platform.logged(name)
    )
    assert not [name for name in names if name in told]


# --- bodies ---


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_kept_as_text(api: Api, ann: User, text: str) -> None:
    post = written(api, ann, text, title=text, tags=[text])
    assert (post["content"], post["title"], post["tags"]) == (text, text, [text])
    at = f"/{post['postId']}"
    assert seen(api, ann, at) == post
    assert written(api, ann, text, f"{at}/comments")["content"] == text
    changed = api.call(
        "PATCH", POSTS + at, {"content": text + text, "images": []}, token=ann.token
    ).expect(200)
    assert changed["content"] == text + text
    for body, field in (
        ({"content": "x", "images": [text]}, "images.0"),
        ({"content": "x", text: text}, text),
        ({"content": {"x": text}}, "content"),
        ({"content": "x", "isAnonymous": text}, "isAnonymous"),
    ):
        assert api.post(POSTS, body, token=ann.token).wrong_fields() == {field}
    reply = api.post(f"{POSTS}{at}/comments", {"content": "x", "parentId": text}, token=ann.token)
    assert reply.wrong_fields() == {"parentId"}
    odd = {"contentType": text, "contentLength": text}
    assert api.post(f"{POSTS}/uploads", odd, token=ann.token).wrong_fields() == {
        "contentType",
        "contentLength",
    }


def test_oversize_and_malformed_bodies_are_refused(api: Api, ann: User) -> None:
    at = f"/{written(api, ann)['postId']}"
    for method, place in (("POST", ""), ("POST", f"{at}/comments"), ("PATCH", at)):
        for body, status in (
            (b"{", 400),
            (b"[]", 400),
            (b"\xff\xfe", 400),
            (b"[" * 100_000, 400),
            (b'{"content": "' + b"x" * 2**20 + b'"}', 413),
            (json.dumps({"content": "x" * 10_001}).encode(), 422),
            (b'{"content": "a\\u0000b"}', 422),
            (b'{"content": null}', 422),
        ):
            api.call(method, POSTS + place, body, token=ann.token).problem(status)
        text = {"Content-Type": "text/plain"}
        api.call(method, POSTS + place, b"x", token=ann.token, headers=text).problem(415)
    many = {
        "content": "",
        "title": "x" * 201,
        "tags": ["x"] * 11,
        "images": "x",
        "isAnonymous": 1,
        "other": 1,
    }
    assert api.post(POSTS, many, token=ann.token).wrong_fields() == set(many)
    assert seen(api, ann, at)["version"] == 1
