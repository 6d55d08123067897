"""Tests posts, comments and likes on the applied platform.

Covers concurrency, long lists, complete deletions, permissions, anonymity and hostile bodies.
"""

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
from tests.e2e.scenarios.context import PNG
from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.inbox import Inbox
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import User
from tests.waiting import wait_for

POSTS = "/v1/posts"
HOSTILE_TEXTS = (
    "'; DROP TABLE posts; --",
    "<script>alert(1)</script>",
    '{"$gt": ""}',
    "${jndi:ldap://x/y}",
    "attribute_exists(post_id) OR :value = :value",
    "../../etc/passwd",
    '\N{RIGHT-TO-LEFT MARK}evil\N{GRINNING FACE} \\u0000 \\ "',
    "%00%0d%0aSet-Cookie: x=1",
)


@pytest.fixture
def ann(platform: Platform) -> User:
    return User.create(platform, "Ann Example")


@pytest.fixture
def bob(platform: Platform) -> User:
    return User.create(platform, "Bob Example")


@pytest.fixture
def pooled_api(platform: Platform) -> Api:
    """Returns an API client with fifty connections."""
    return Api(platform.api_url, connections=50)


@pytest.fixture
def start_time() -> int:
    """Returns the time when the test began, in milliseconds since the epoch."""
    return int(time.time() * 1000)


def write(api: Api, user: User, content: str = "Hello", path: str = "", **fields: Any) -> Any:
    return api.post(POSTS + path, {"content": content, **fields}, token=user.token).expect(201)


def read(api: Api, user: User, path: str) -> Any:
    return api.get(POSTS + path, token=user.token).expect(200)


def call_with_retries(call: Callable[[], ApiResponse]) -> ApiResponse:
    """Returns the response to an idempotent call.

    Retries timeouts, 409, 429 and server errors, as clients do. These errors occur when Lambda has
    no concurrency left, when the tables are busy, or when a machine with two cores starts fifty
    processes of the function.
    """

    def get_final_response() -> ApiResponse | None:
        try:
            response = call()
        except urllib3.exceptions.TimeoutError:
            return None
        return None if response.status in {409, 429} or response.status >= 500 else response

    return wait_for(get_final_response, seconds=180, interval=1.0)


def list_failures(platform: Platform, since: int) -> list[str]:
    """Returns the log lines of requests to which the service itself responded with 500.

    Excludes errors of API Gateway, such as 503 if Lambda has no concurrency left.
    """
    lines = [line for line in platform.read_log_lines("post", since) if line.startswith("{")]
    return [line for line in lines if json.loads(line).get("status") == 500]


def list_items(platform: Platform, table: str) -> list[dict[str, Any]]:
    pages = platform.aws("dynamodb").get_paginator("scan").paginate(TableName=f"{table}-local")
    return [unpack(item) for page in pages for item in page["Items"]]


# --- concurrency ---


def test_50_concurrent_likes_of_one_user_count_once(
    platform: Platform, pooled_api: Api, ann: User, bob: User, start_time: int
) -> None:
    post_path = f"/{write(pooled_api, ann)['postId']}"
    like = f"{POSTS}{post_path}/like"
    with ThreadPoolExecutor(50) as threads:
        responses = list(
            threads.map(
                lambda _: call_with_retries(lambda: pooled_api.call("PUT", like, token=bob.token)),
                range(50),
            )
        )
    assert {response.status for response in responses} == {204}
    post = read(pooled_api, bob, post_path)
    assert (post["likesCount"], post["likedByMe"]) == (1, True)
    assert list_failures(platform, start_time) == []
    for _ in range(2):
        pooled_api.delete(like, token=bob.token).expect(204)
    assert read(pooled_api, bob, post_path)["likesCount"] == 0


def test_50_concurrent_likes_of_50_users_count_50(
    platform: Platform, pooled_api: Api, ann: User, start_time: int
) -> None:
    users = [User.create(platform, f"User {number}") for number in range(50)]
    post_path = f"/{write(pooled_api, ann)['postId']}"
    like = f"{POSTS}{post_path}/like"
    with ThreadPoolExecutor(50) as threads:
        responses = list(
            threads.map(
                lambda user: call_with_retries(
                    lambda: pooled_api.call("PUT", like, token=user.token)
                ),
                users,
            )
        )
    assert {response.status for response in responses} == {204}
    assert read(pooled_api, users[0], post_path)["likesCount"] == 50
    assert list_failures(platform, start_time) == []


def test_concurrent_comments_are_all_counted(pooled_api: Api, ann: User, bob: User) -> None:
    post_path = f"/{write(pooled_api, ann)['postId']}"

    def comment(number: int) -> ApiResponse:
        body = {"content": str(number)}
        key = {"Idempotency-Key": str(number)}
        return call_with_retries(
            lambda: pooled_api.post(
                f"{POSTS}{post_path}/comments", body, token=bob.token, headers=key
            )
        )

    with ThreadPoolExecutor(10) as threads:
        assert {response.status for response in threads.map(comment, range(20))} == {201}
    assert read(pooled_api, ann, post_path)["commentsCount"] == 20
    first = read(pooled_api, ann, f"{post_path}/comments?limit=15")
    rest = read(pooled_api, ann, f"{post_path}/comments?limit=15&cursor={first['nextCursor']}")
    comments = [*first["items"], *rest["items"]]
    assert {comment["content"] for comment in comments} == {str(number) for number in range(20)}
    assert [c["createdAt"] for c in comments] == sorted(c["createdAt"] for c in comments)
    assert rest["nextCursor"] is None


# --- long lists ---


def store_posts(
    platform: Platform, author: User, count: int, *, newest_at: float, **fields: Any
) -> list[str]:
    """Writes posts to the table, 1 ms apart, and returns their ids, newest first.

    Args:
        newest_at: the time of the newest post in seconds since the epoch.
    """
    ids = [new_id() for _ in range(count)]
    puts = []
    for number, post_id in enumerate(ids):
        created_at = position(newest_at - number / 1000, post_id)
        post = Post(
            post_id=post_id,
            created_at=created_at,
            updated_at=created_at[:24],
            timeline_bucket=bucket(created_at, post_id, 1),
            author_name=author.display_name,
            author_id=author.user_id,
            content=f"Post {number}",
            version=1,
            **fields,
        )
        puts.append({"PutRequest": {"Item": pack(to_builtins(post))}})
    dynamodb = platform.aws("dynamodb")
    Months(dynamodb, "post-counters-local").record(position(newest_at, ids[0]))
    for start in range(0, count, 25):
        dynamodb.batch_write_item(RequestItems={"post-posts-local": puts[start : start + 25]})
    return ids


def test_pages_of_posts_have_no_gaps_or_duplicates_while_posts_are_added(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    ids = store_posts(platform, ann, 250, newest_at=time.time())
    arrival = uuid.uuid4().hex
    listed, query = [], "?limit=100"
    for _ in range(3):
        page = read(api, bob, query)
        listed += [post["postId"] for post in page["items"]]
        query = f"?limit=100&cursor={page['nextCursor']}"
        write(api, bob, arrival)
    # Tests on other workers publish posts at the same time.
    assert [post_id for post_id in listed if post_id in ids] == ids
    assert len(set(listed)) == len(listed)
    contents = [post["content"] for post in read(api, bob, "?limit=100")["items"]]
    assert contents.count(arrival) == 3
    assert "Post 0" not in contents[: contents.index(arrival)]
    own = read(api, bob, f"?limit=100&authorId={ann.user_id}")
    assert [post["postId"] for post in own["items"]] == ids[:100]


def test_an_authors_list_contains_posts_of_different_years(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    old = store_posts(platform, ann, 3, newest_at=time.time() - 5 * 365 * 86_400)
    new = write(api, ann)["postId"]
    page = read(api, bob, f"?authorId={ann.user_id}&limit=2")
    rest = read(api, bob, f"?authorId={ann.user_id}&limit=2&cursor={page['nextCursor']}")
    assert [post["postId"] for post in (*page["items"], *rest["items"])] == [new, *old]


def test_a_changed_cursor_or_a_cursor_of_another_list_is_rejected(api: Api, ann: User) -> None:
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    for number in range(3):
        write(api, ann, str(number), tags=[tag.upper()])
    page = read(api, ann, f"?tag={tag}&limit=2")
    assert [post["content"] for post in page["items"]] == ["2", "1"]
    cursor = page["nextCursor"]
    both = f"?tag={tag}&authorId={ann.user_id}"
    assert [post["content"] for post in read(api, ann, both)["items"]] == ["2", "1", "0"]
    for wrong in (
        f"?cursor={cursor}",
        f"{both}&cursor={cursor}",
        f"?tag={tag}&cursor=A{cursor[1:]}",
        "?cursor=x",
    ):
        api.get(POSTS + wrong, token=ann.token).expect_problem(400, "invalid_cursor")
    assert api.get(f"{POSTS}?limit=0&authorId=", token=ann.token).list_invalid_fields() == {
        "limit",
        "authorId",
    }


# --- deletions ---


class Killed(BaseException):
    """Raised to simulate that the function's process is killed."""


class KillingClient:
    """A DynamoDB client that raises Killed after a number of transactions."""

    def __init__(self, client: Any, transactions: int) -> None:
        self._client = client
        self._remaining = transactions

    def transact_write_items(self, **sent: Any) -> Any:
        response = self._client.transact_write_items(**sent)
        self._remaining -= 1
        if self._remaining == 0:
            raise Killed
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def create_removal(platform: Platform, dynamodb: Any) -> Removal:
    """Returns the object with which the post function removes a post's data.

    Tests call it in this process.
    """
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
def resume_deletions(platform: Platform) -> Iterator[Callable[[], None]]:
    """Stops the post function from receiving messages of its deletions queue.

    Yields a callable that lets the post function receive them again.
    """
    functions, queue = platform.aws("lambda"), "post-deletions-queue-local"
    sources = functions.list_event_source_mappings()["EventSourceMappings"]
    (source,) = (item for item in sources if item["EventSourceArn"].endswith(queue))

    def switch(*, on: bool) -> None:
        functions.update_event_source_mapping(UUID=source["UUID"], Enabled=on)

    switch(on=False)
    yield lambda: switch(on=True)
    switch(on=True)


def count_remaining(platform: Platform, post_id: str) -> dict[str, int]:
    """Returns the number of a post's items by table. Omits tables without such items."""
    tables = ("post-posts", "post-comments", "post-likes", "post-counters", "post-tags")
    counts = {
        table: sum(post_id in map(str, item.values()) for item in list_items(platform, table))
        for table in tables
    }
    return {table: count for table, count in counts.items() if count}


def test_the_function_completes_an_interrupted_deletion(
    platform: Platform,
    pooled_api: Api,
    ann: User,
    bob: User,
    resume_deletions: Callable[[], None],
    bus: Inbox,
) -> None:
    post_id = write(pooled_api, ann, tags=["going"])["postId"]
    post_path = f"/{post_id}"

    def comment(number: int) -> ApiResponse:
        body = {"content": str(number), "isAnonymous": number % 2 == 0}
        key = {"Idempotency-Key": str(number)}
        return call_with_retries(
            lambda: pooled_api.post(
                f"{POSTS}{post_path}/comments", body, token=bob.token, headers=key
            )
        )

    with ThreadPoolExecutor(10) as threads:
        comments = [
            response.expect(201)["commentId"] for response in threads.map(comment, range(40))
        ]
    pooled_api.call("PUT", f"{POSTS}{post_path}/like", token=bob.token).expect(204)
    pooled_api.delete(POSTS + post_path, token=ann.token).expect(204)

    def check_closed() -> None:
        pooled_api.get(POSTS + post_path, token=ann.token).expect_problem(404, "post_not_found")
        pooled_api.get(f"{POSTS}{post_path}/comments", token=ann.token).expect_problem(
            404, "post_not_found"
        )
        pooled_api.call("PUT", f"{POSTS}{post_path}/like", token=bob.token).expect_problem(
            404, "post_not_found"
        )
        pooled_api.post(
            f"{POSTS}{post_path}/comments", {"content": "x"}, token=bob.token
        ).expect_problem(404, "post_not_found")
        assert read(pooled_api, bob, f"?tag=going&authorId={ann.user_id}")["items"] == []
        assert post_id not in {
            post["postId"] for post in read(pooled_api, bob, "?limit=100")["items"]
        }

    check_closed()
    with pytest.raises(Killed):
        create_removal(platform, KillingClient(platform.aws("dynamodb"), 2)).finish(post_id)
    remaining = count_remaining(platform, post_id)
    assert remaining == {"post-posts": 1, "post-comments": 7, "post-counters": 1}
    check_closed()
    resume_deletions()
    wait_for(lambda: not count_remaining(platform, post_id), seconds=60)
    authors = {item["item_id"] for item in list_items(platform, "platform-authors")}
    assert not authors & {post_id, *comments}

    def list_deleted_comments() -> list[str] | None:
        deletions = [
            e["detail"]["data"]["commentId"]
            for e in bus.receive_about("commentId", *comments)
            if e["detail-type"] == "CommentDeleted"
        ]
        return deletions if len(deletions) >= len(comments) else None

    assert sorted(wait_for(list_deleted_comments, seconds=60)) == sorted(comments)


def test_images_are_served_and_deleted_with_their_post(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    def upload(content: bytes) -> str:
        return api.upload(f"{POSTS}/uploads", content, token=ann.token)

    wrong = upload(b"GIF89a" + bytes(64))
    rejected = api.post(
        POSTS, {"content": "x", "images": [wrong, "uploads/post/x/y"]}, token=ann.token
    )
    assert rejected.list_invalid_fields() == {"images.0", "images.1"}
    foreign = api.post(POSTS, {"content": "x", "images": [key := upload(PNG)]}, token=bob.token)
    assert foreign.list_invalid_fields() == {"images.0"}
    post = write(api, ann, images=[key], isAnonymous=True)
    (address,) = post["images"]
    response = platform.fetch_from_cdn(address)
    assert (response.status, response.body, response.headers["Content-Type"]) == (
        200,
        PNG,
        "image/png",
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert ann.user_id not in address
    assert read(api, bob, f"/{post['postId']}")["images"] == [address]
    api.delete(f"{POSTS}/{post['postId']}", token=ann.token).expect(204)
    wait_for(lambda: platform.fetch_from_cdn(address).status in {403, 404}, seconds=60)


# --- permissions ---


def test_the_author_and_moderators_can_change_and_delete_a_post(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    moderator = User.create(platform, "Mo", "moderator")
    post = write(api, ann)
    post_path = f"/{post['postId']}"
    comment = write(api, bob, "Hi", f"{post_path}/comments")
    comment_path = f"{POSTS}{post_path}/comments/{comment['commentId']}"
    for user, path in (
        (bob, POSTS + post_path),
        (moderator, POSTS + post_path),
        (ann, comment_path),
        (moderator, comment_path),
    ):
        api.call("PATCH", path, {"content": "x"}, token=user.token).expect_problem(
            403, "not_the_author"
        )
    fresh = {"If-Match": '"1"'}
    changed = api.call(
        "PATCH", POSTS + post_path, {"content": "New", "title": "T"}, token=ann.token, headers=fresh
    )
    assert (changed.expect(200)["version"], changed.headers["ETag"]) == (2, '"2"')
    api.call(
        "PATCH", POSTS + post_path, {"content": "Old"}, token=ann.token, headers=fresh
    ).expect_problem(412, "stale_version")
    api.call("PATCH", comment_path, {"content": "Ho"}, token=bob.token, headers=fresh).expect(200)
    api.call(
        "PATCH", comment_path, {"content": "Hu"}, token=bob.token, headers=fresh
    ).expect_problem(412)
    api.delete(comment_path, token=ann.token).expect_problem(403, "not_the_author")
    api.delete(POSTS + post_path, token=bob.token).expect_problem(403, "not_the_author")
    api.delete(comment_path, token=moderator.token).expect(204)
    assert read(api, ann, post_path)["commentsCount"] == 0
    api.delete(POSTS + post_path, token=moderator.token).expect(204)


def test_anonymous_users_cannot_like_or_upload(api: Api, ann: User) -> None:
    session = api.post("/v1/auth/anonymous", {}).expect(201)
    visitor = User(session["anonymousId"], session["displayName"], session["accessToken"])
    post = write(api, visitor)
    assert (post["isAnonymous"], "authorId" in post) == (True, False)
    assert post["authorName"] != visitor.display_name
    api.post(POSTS, {"content": "x", "isAnonymous": False}, token=visitor.token).expect_problem(
        403, "anonymous_not_allowed"
    )
    post_path = f"/{write(api, ann)['postId']}"
    assert write(api, visitor, "Hi", f"{post_path}/comments")["isAnonymous"] is True
    api.call("PUT", f"{POSTS}{post_path}/like", token=visitor.token).expect_problem(
        403, "anonymous_not_allowed"
    )
    body = {"contentType": "image/png", "contentLength": 10}
    api.post(f"{POSTS}/uploads", body, token=visitor.token).expect_problem(
        403, "anonymous_not_allowed"
    )
    api.call("PATCH", f"{POSTS}/{post['postId']}", {"content": "y"}, token=visitor.token).expect(
        200
    )
    api.delete(f"{POSTS}/{post['postId']}", token=visitor.token).expect(204)


# --- anonymity ---


def test_an_anonymous_author_is_not_revealed(
    platform: Platform, api: Api, bob: User, bus: Inbox
) -> None:
    ann = User.create(platform, f"Author {uuid.uuid4().hex}")
    responses: list[ApiResponse] = []

    def call(
        method: str,
        path: str,
        body: object = None,
        *,
        user: User = ann,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        response = api.call(method, POSTS + path, body, token=user.token, headers=headers)
        responses.append(response)
        return response.json if response.body else None

    tag = f"tag-{uuid.uuid4().hex[:8]}"
    key = {"Idempotency-Key": uuid.uuid4().hex}
    post = call("POST", "", {"content": "Hidden", "isAnonymous": True, "tags": [tag]}, headers=key)
    post_path = f"/{post['postId']}"
    assert (
        call("POST", "", {"content": "Hidden", "isAnonymous": True, "tags": [tag]}, headers=key)
        == post
    )
    comment = call("POST", f"{post_path}/comments", {"content": "Mine", "isAnonymous": True})
    comment_path = f"{post_path}/comments/{comment['commentId']}"
    assert comment["authorName"] == post["authorName"]
    call("PATCH", post_path, {"content": "Still hidden"}, headers={"If-Match": '"1"'})
    call("PATCH", post_path, {"content": "Stale"}, headers={"If-Match": '"1"'})
    call("PATCH", comment_path, {"content": "Still mine"})
    call("PUT", f"{post_path}/like", user=bob)
    for path in (
        post_path,
        f"{post_path}/comments",
        "?limit=100",
        f"?tag={tag}",
        f"?authorId={ann.user_id}",
    ):
        call("GET", path, user=bob)
    assert responses[-1].json["items"] == []
    assert [item["postId"] for item in responses[-2].json["items"]] == [post["postId"]]
    call("DELETE", post_path, user=bob)
    call("DELETE", comment_path)
    call("DELETE", post_path)
    statuses = [response.status for response in responses]
    assert statuses == [201, 201, 201, 200, 412, 200, 204, 200, 200, 200, 200, 200, 403, 204, 204]
    names = (ann.user_id, ann.display_name, ann.session_id)
    for response in responses:
        text = f"{response.headers} {response.body.decode()}"
        assert not [name for name in names if name in text]

    def published_events() -> list[dict[str, Any]] | None:
        mine = bus.receive_about("postId", post["postId"])
        return mine if len(mine) >= 5 else None

    events = wait_for(published_events, seconds=60)
    event_types = sorted(event["detail-type"] for event in events)
    assert event_types == [
        "CommentCreated",
        "CommentDeleted",
        "PostCreated",
        "PostDeleted",
        "PostLiked",
    ]
    assert not [name for name in names if name in json.dumps(events)]
    aliases = {e["detail"]["actorId"] for e in events if e["detail-type"] != "PostLiked"}
    assert len(aliases) == 1
    tables_with_authors = {"auth-sessions", "platform-authors"}
    for name in platform.outputs["tables"]:
        if name not in tables_with_authors:
            assert not [
                i for i in list_items(platform, name) if any(known in str(i) for known in names)
            ], name
    text = "\n".join(
        line for name in platform.outputs["functions"] for line in platform.read_log_lines(name)
    )
    assert not [name for name in names if name in text]


# --- bodies ---


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_text_is_stored_and_returned_unchanged(api: Api, ann: User, text: str) -> None:
    post = write(api, ann, text, title=text, tags=[text])
    assert (post["content"], post["title"], post["tags"]) == (text, text, [text])
    post_path = f"/{post['postId']}"
    assert read(api, ann, post_path) == post
    assert write(api, ann, text, f"{post_path}/comments")["content"] == text
    changed = api.call(
        "PATCH", POSTS + post_path, {"content": text + text, "images": []}, token=ann.token
    ).expect(200)
    assert changed["content"] == text + text
    for body, field in (
        ({"content": "x", "images": [text]}, "images.0"),
        ({"content": "x", text: text}, text),
        ({"content": {"x": text}}, "content"),
        ({"content": "x", "isAnonymous": text}, "isAnonymous"),
    ):
        assert api.post(POSTS, body, token=ann.token).list_invalid_fields() == {field}
    reply = api.post(
        f"{POSTS}{post_path}/comments", {"content": "x", "parentId": text}, token=ann.token
    )
    assert reply.list_invalid_fields() == {"parentId"}
    odd = {"contentType": text, "contentLength": text}
    assert api.post(f"{POSTS}/uploads", odd, token=ann.token).list_invalid_fields() == {
        "contentType",
        "contentLength",
    }


def test_oversized_and_malformed_bodies_are_rejected(api: Api, ann: User) -> None:
    post_path = f"/{write(api, ann)['postId']}"
    for method, path in (("POST", ""), ("POST", f"{post_path}/comments"), ("PATCH", post_path)):
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
            api.call(method, POSTS + path, body, token=ann.token).expect_problem(status)
        text = {"Content-Type": "text/plain"}
        api.call(method, POSTS + path, b"x", token=ann.token, headers=text).expect_problem(415)
    many = {
        "content": "",
        "title": "x" * 201,
        "tags": ["x"] * 11,
        "images": "x",
        "isAnonymous": 1,
        "other": 1,
    }
    assert api.post(POSTS, many, token=ann.token).list_invalid_fields() == set(many)
    assert read(api, ann, post_path)["version"] == 1
