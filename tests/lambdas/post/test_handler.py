"""Tests the whole post function with events of API Gateway and the deletions queue, on moto."""

import io
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from lambdas.common.clock import new_id
from lambdas.common.messaging.consumer import BatchFailedError
from lambdas.common.people.aliases import AliasStore
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.common.web.http import Response
from lambdas.common.web.idempotency import Idempotency
from lambdas.post.handler import build, handler
from lambdas.post.routes import ROUTES
from tests.lambdas.support import (
    NOW,
    REGION,
    LambdaResponse,
    document,
    problem,
    rest_event,
    wrong_fields,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FUTURE = int(NOW * 2)  # The function compares the expiry of tokens with the system clock.
Call = Callable[..., LambdaResponse]
HOSTILE = (
    "'; DROP TABLE posts; --",
    "<script>alert(1)</script>",
    '{"$gt": ""}',
    "${jndi:ldap://x/y}",
    "attribute_exists(post_id) OR :value = :value",
    "../../etc/passwd",
    "#likes, :step, \\u0000 \\",
    "\N{RIGHT-TO-LEFT MARK}evil\N{GRINNING FACE}",
    "%00%0d%0aSet-Cookie: x=1",
)


@pytest.fixture
def environ(
    tables: Mapping[str, str], bucket: str, request: pytest.FixtureRequest
) -> dict[str, str]:
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name="/cursor", Value="k" * 48, Type="SecureString"
    )
    return {
        "STAGE": "local",
        "REGION": REGION,
        "CORS_ORIGINS": "*",
        # Powertools caches loggers by name, with their streams. Each test needs a different name.
        "POWERTOOLS_SERVICE_NAME": request.node.name,
        "DYNAMODB_TABLE_SESSIONS": "auth-sessions",
        "DYNAMODB_TABLE_IDEMPOTENCY": "platform-idempotency",
        "CURSOR_KEY_PARAMETER": "/cursor",
        "DYNAMODB_TABLE_OUTBOX": "platform-outbox",
        "DYNAMODB_TABLE_AUTHORS": "platform-authors",
        "DYNAMODB_TABLE_ALIASES": "profile-aliases",
        "DYNAMODB_TABLE_PROFILES": "profile-profiles",
        "DYNAMODB_TABLE_POSTS": "post-posts",
        "DYNAMODB_TABLE_COMMENTS": "post-comments",
        "DYNAMODB_TABLE_LIKES": "post-likes",
        "DYNAMODB_TABLE_COUNTERS": "post-counters",
        "DYNAMODB_TABLE_TAGS": "post-tags",
        "S3_BUCKET_ATTACHMENTS": bucket,
        "CLOUDFRONT_DOMAIN": "cdn.test",
        "TIMELINE_SHARDS": "2",
    }


@pytest.fixture
def service(environ: dict[str, str], stdout: io.StringIO) -> Callable[..., Any]:
    return build(environ)


@pytest.fixture
def call(service: Callable[..., Any], dynamodb: "DynamoDBClient") -> Call:
    def send(
        method: str, path: str, body: object = None, user: str = "ann", **parts: Any
    ) -> LambdaResponse:
        """Sends a request.

        `user` is `name` or `name:role`, and the role `none` means an anonymous user.
        """
        name, _, roles = user.partition(":")
        roles = "" if roles == "none" else ",".join(filter(None, ["user", roles]))
        session = {
            "session_id": f"s-{name}",
            "user_id": f"id-of-{name}",
            "expires_at": FUTURE,
            "display_name": name.title(),
        }
        dynamodb.put_item(TableName="auth-sessions", Item=pack(session))
        capabilities = "" if roles else "chat_anonymous,post_anonymous,read"
        context = {
            "sub": f"id-of-{name}",
            "sid": f"s-{name}",
            "roles": roles,
            "cap": capabilities,
            "exp": str(FUTURE),
        }
        response: LambdaResponse = service(
            rest_event(method, f"/v1/posts{path}", body, authorizer=context, **parts), None
        )
        return response

    return send


def created(response: LambdaResponse) -> Any:
    assert response["statusCode"] == 201, response
    return document(response)


def ok(response: LambdaResponse) -> Any:
    assert response["statusCode"] == 200, response
    return document(response)


def stored(dynamodb: "DynamoDBClient", table: str) -> list[dict[str, Any]]:
    return [unpack(item) for item in dynamodb.scan(TableName=table)["Items"]]


def outbox_events(dynamodb: "DynamoDBClient") -> list[tuple[str, Any]]:
    """Returns the events in the outbox."""
    return [(e["event_type"], json.loads(e["detail"])) for e in stored(dynamodb, "platform-outbox")]


def batch(*post_ids: str) -> dict[str, Any]:
    """Returns messages of the deletions queue as a Lambda event."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": "handle",
                "body": json.dumps(
                    {
                        "source": "multitask.post",
                        "detail-type": "PostDeleted",
                        "detail": {
                            "correlationId": "trace-9",
                            "data": {"postId": post_id, "isAnonymous": True},
                        },
                    }
                ),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for number, post_id in enumerate(post_ids)
        ]
    }


def test_a_post_is_created_changed_liked_commented_and_deleted(
    call: Call, service: Callable[..., Any], dynamodb: "DynamoDBClient"
) -> None:
    response = call("POST", "", {"content": "Hello", "tags": ["a"]})
    post = created(response)
    at = f"/{post['postId']}"
    assert response["headers"]["ETag"] == '"1"'
    assert (post["authorId"], post["authorName"]) == ("id-of-ann", "Ann")
    assert ok(call("GET", at, user="bob")) == post
    assert call("PUT", f"{at}/like", user="bob")["statusCode"] == 204
    comment = created(call("POST", f"{at}/comments", {"content": "Hi"}, user="bob"))
    reply = created(
        call("POST", f"{at}/comments", {"content": "Oh", "parentId": comment["commentId"]})
    )
    view = ok(call("GET", at, user="bob"))
    assert (view["likesCount"], view["commentsCount"], view["likedByMe"]) == (1, 2, True)
    assert ok(call("GET", f"{at}/comments")) == {"items": [comment, reply], "nextCursor": None}
    assert call("DELETE", f"{at}/like", user="bob")["statusCode"] == 204
    changed = call("PATCH", at, {"content": "Bye"}, headers={"If-Match": '"1"'})
    assert (ok(changed)["version"], changed["headers"]["ETag"]) == (2, '"2"')
    problem(call("PATCH", at, {"content": "No"}, headers={"If-Match": '"1"'}), 412)
    comment_path = f"{at}/comments/{comment['commentId']}"
    assert ok(call("PATCH", comment_path, {"content": "Ho"}, user="bob"))["isEdited"] is True
    problem(
        call("PATCH", comment_path, {"content": "Hu"}, user="bob", headers={"If-Match": '"1"'}), 412
    )
    assert call("DELETE", comment_path, user="mod:moderator")["statusCode"] == 204
    assert call("DELETE", at)["statusCode"] == 204
    for method, path in (
        ("GET", at),
        ("DELETE", at),
        ("GET", f"{at}/comments"),
        ("PUT", f"{at}/like"),
    ):
        assert problem(call(method, path), 404)["code"] == "post_not_found"
    assert ok(call("GET", ""))["items"] == []
    assert service(batch(post["postId"]), None) == {"batchItemFailures": []}
    for table in ("post-posts", "post-comments", "post-likes", "post-tags", "platform-authors"):
        assert stored(dynamodb, table) == []
    assert sorted(event_type for event_type, _ in outbox_events(dynamodb)) == [
        "CommentCreated",
        "CommentCreated",
        "CommentDeleted",
        "CommentDeleted",
        "PostCreated",
        "PostDeleted",
        "PostLiked",
        "PostUnliked",
    ]


def test_events_and_logs_of_a_removal_have_the_correlation_id_of_the_request(
    call: Call, service: Callable[..., Any], dynamodb: "DynamoDBClient", stdout: io.StringIO
) -> None:
    post = created(call("POST", "", {"content": "x"}))
    call("POST", f"/{post['postId']}/comments", {"content": "x"})
    call("DELETE", f"/{post['postId']}", headers={"X-Correlation-Id": "trace-9"})
    service(batch(post["postId"]), None)
    assert {
        d["correlationId"] for kind, d in outbox_events(dynamodb) if kind.endswith("Deleted")
    } == {"trace-9"}
    lines = [json.loads(line) for line in stdout.getvalue().splitlines()]
    logged = [line for line in lines if line["message"] == "post removed"]
    assert [line["correlation_id"] for line in logged] == ["trace-9"]


def test_the_message_of_an_unfinished_removal_stays_in_the_queue(
    call: Call, service: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    post = created(call("POST", "", {"content": "x"}))
    call("DELETE", f"/{post['postId']}")
    with monkeypatch.context() as patch:
        patch.setattr("lambdas.post.likes.DynamoLikeStore.remove_all", lambda *_: 1 / 0)
        with pytest.raises(BatchFailedError):
            service(batch(post["postId"]), None)
    broken: Any = {**batch(post["postId"])["Records"][0], "body": "{"}
    response = service(
        {"Records": [broken, batch(post["postId"])["Records"][0] | {"messageId": "good"}]}, None
    )
    assert response == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}


def test_a_batch_fails_if_the_service_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DYNAMODB_TABLE_POSTS", raising=False)
    with pytest.raises(RuntimeError):
        handler(batch("0" * 32), None)


def test_a_cursor_is_valid_only_for_its_list(call: Call) -> None:
    post_ids = [
        created(call("POST", "", {"content": str(i), "tags": ["t"]}))["postId"] for i in range(5)
    ]
    listed, query = [], {"limit": "2", "tag": "t"}
    while True:
        page = ok(call("GET", "", query=query))
        listed += [item["postId"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        query = {**query, "cursor": page["nextCursor"]}
    assert listed == post_ids[::-1]
    cursor = query["cursor"]
    assert problem(call("GET", "", query={"cursor": cursor}), 400)["code"] == "invalid_cursor"
    problem(call("GET", "", query={"tag": "u", "cursor": cursor}), 400)
    problem(
        call(
            "GET",
            "",
            query={"tag": "t", "cursor": f"{cursor[:-1]}{'A' if cursor[-1] != 'A' else 'B'}"},
        ),
        400,
    )
    problem(call("GET", f"/{post_ids[0]}/comments", query={"cursor": cursor}), 400)
    assert wrong_fields(
        problem(call("GET", "", query={"limit": "101", "tag": "", "authorId": "x" * 65}), 422)
    ) == {
        "limit",
        "tag",
        "authorId",
    }


def test_a_422_names_every_invalid_field(call: Call) -> None:
    body = {
        "content": "x" * 10_001,
        "title": "x" * 201,
        "tags": ["", *"abcdefghij"],
        "images": 5,
        "isAnonymous": "yes",
        "authorId": "id-of-bob",
        "createdAt": "2020-01-01T00:00:00.000Z",
    }
    wrong = problem(call("POST", "", body), 422)
    fields = {field.partition(".")[0] for field in wrong_fields(wrong)}
    assert fields == set(body)
    post = created(call("POST", "", {"content": "x"}))
    wrong = problem(
        call("PATCH", f"/{post['postId']}", {"content": "", "isAnonymous": True, "version": 5}), 422
    )
    assert wrong_fields(wrong) == {"content", "isAnonymous", "version"}
    wrong = problem(
        call("POST", f"/{post['postId']}/comments", {"content": "x" * 2001, "parentId": 5, "x": 1}),
        422,
    )
    assert wrong_fields(wrong) == {"content", "parentId", "x"}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"content": "x" * 10_000}, {"content": "x" * 10_001}),
        ({"content": "a\n\tb"}, {"content": "a\x00b"}),
        ({"content": " x "}, {"content": " \n "}),
        ({"content": "x", "title": "t" * 200}, {"content": "x", "title": "t" * 201}),
        ({"content": "x", "title": None}, {"content": None}),
        (
            {"content": "x", "tags": list("abcdefghij")},
            {"content": "x", "tags": list("abcdefghijk")},
        ),
        ({"content": "x", "tags": ["t" * 50]}, {"content": "x", "tags": ["t" * 51]}),
        ({"content": "x", "images": []}, {"content": "x", "images": ["id-of-ann/1"]}),
    ],
)
def test_fields_are_accepted_up_to_their_limits(call: Call, good: object, bad: object) -> None:
    created(call("POST", "", good))
    problem(call("POST", "", bad), 422)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_stored_unchanged(call: Call, text: str) -> None:
    post = created(call("POST", "", {"content": text, "title": text, "tags": [text]}))
    assert (post["content"], post["title"], post["tags"]) == (text, text, [text])
    assert ok(call("GET", "", query={"tag": text}))["items"] == [post]
    problem(call("GET", "", query={"authorId": text}), 422)
    comment = created(call("POST", f"/{post['postId']}/comments", {"content": text}))
    assert comment["content"] == text
    problem(call("POST", f"/{post['postId']}/comments", {"content": "x", "parentId": text}), 422)
    problem(call("POST", "", {"content": "x", "images": [text]}), 422)
    segment = text.replace("/", "%2F").replace("%", "%25")
    for path in (f"/{segment}", f"/{segment}/comments"):
        problem(call("GET", path), 404)
    problem(call("GET", "", query={"cursor": text}), 400)


@pytest.mark.parametrize("post_id", ["x" * 5000, "0" * 32, "0" * 31, "A" * 32])
def test_an_invalid_post_id_returns_404(call: Call, post_id: str) -> None:
    post = created(call("POST", "", {"content": "x"}))["postId"]
    for route in ROUTES:
        if "{postId}" in route.path:
            path = route.path.removeprefix("/v1/posts").format(postId=post_id, commentId=post_id)
            body: object = {"content": "x"} if route.method in {"POST", "PATCH"} else None
            problem(call(route.method, path, body), 404)
        if "{commentId}" in route.path:
            path = route.path.removeprefix("/v1/posts").format(postId=post, commentId=post_id)
            problem(call(route.method, path, {"content": "x"}), 404)


def test_requests_repeated_with_a_key_create_one_post_and_one_comment(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    headers = {"Idempotency-Key": "once"}
    posts = [
        created(call("POST", "", {"content": "x", "isAnonymous": True}, headers=headers))
        for _ in range(2)
    ]
    assert posts[0] == posts[1]
    at = f"/{posts[0]['postId']}/comments"
    comments = [created(call("POST", at, {"content": "x"}, headers=headers)) for _ in range(2)]
    assert comments[0] == comments[1]
    assert (len(stored(dynamodb, "post-posts")), len(stored(dynamodb, "post-comments"))) == (1, 1)
    problem(call("POST", "", {"content": "y"}, headers=headers), 409)
    assert "id-of-ann" not in str(
        [i for i in stored(dynamodb, "platform-idempotency") if "alias" in str(i)]
    )


def test_a_function_killed_after_its_write_does_not_cause_a_second_post_or_comment(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    headers = {"Idempotency-Key": "once"}

    def create(path: str, body: Any) -> list[Any]:
        """Sends a request twice, and returns both results.

        Loses the first response before the service stores it, like a kill of the Lambda function.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Idempotency, "_complete", lose_response)
            first = created(call("POST", path, body, headers=headers))
        return [first, created(call("POST", path, body, headers=headers))]

    first, second = create("", {"content": "x", "isAnonymous": True})
    assert first == second
    first, second = create(f"/{first['postId']}/comments", {"content": "x"})
    assert first == second
    assert (len(stored(dynamodb, "post-posts")), len(stored(dynamodb, "post-comments"))) == (1, 1)


def test_a_write_that_completes_after_the_next_attempt_began_changes_nothing(
    call: Call, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both attempts create an item with the same id.

    Neither attempt finds the item of the other attempt before it writes its own item.
    """

    def create_twice(path: str, body: Any) -> Any:
        id_ = new_id()
        with monkeypatch.context() as patch:
            patch.setattr("lambdas.common.web.http.new_id", lambda: id_)
            first, second = (created(call("POST", path, body)) for _ in range(2))
        assert first == second
        return first

    post = create_twice("", {"content": "x", "tags": ["t"], "isAnonymous": True})
    path = f"/{post['postId']}"
    comment = create_twice(f"{path}/comments", {"content": "x"})
    create_twice(f"{path}/comments", {"content": "x", "parentId": comment["commentId"]})
    assert ok(call("GET", path))["commentsCount"] == 2
    assert sorted(type_ for type_, _ in outbox_events(dynamodb)) == [
        "CommentCreated",
        "CommentCreated",
        "PostCreated",
    ]


def lose_response(idempotency: Idempotency, record: str, attempt: str, _: Response[Any]) -> None:
    """Ends the lease of an attempt without storing the response.

    The result is the same as if the function was killed and its lease has expired.
    """
    idempotency._end_lease(record, attempt)


def test_images_are_uploaded_checked_and_served(call: Call) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    upload = created(call("POST", "/uploads", {"contentType": "image/png", "contentLength": 20}))
    assert upload["upload"]["fields"]["key"] == upload["key"]
    wrong = problem(
        call("POST", "/uploads", {"contentType": "image/gif", "contentLength": 5 * 2**20 + 1}), 422
    )
    assert wrong_fields(wrong) == {"contentType", "contentLength"}
    problem(
        call(
            "POST", "/uploads", {"contentType": "image/png", "contentLength": 20}, user="zoe:none"
        ),
        403,
    )
    s3.put_object(
        Bucket="attachments",
        Key=upload["key"],
        Body=b"\x89PNG\r\n\x1a\n" + b"x" * 12,
        ContentType="image/png",
    )
    post = created(
        call("POST", "", {"content": "x", "images": [upload["key"]], "isAnonymous": True})
    )
    (address,) = post["images"]
    assert address.startswith("https://cdn.test/images/post/")
    assert "ann" not in address
    assert s3.head_object(Bucket="attachments", Key=address.removeprefix("https://cdn.test/"))
    bob = problem(call("POST", "", {"content": "x", "images": [upload["key"]]}, user="bob"), 422)
    assert wrong_fields(bob) == {"images.0"}


# --- anonymity ---


def all_items(dynamodb: "DynamoDBClient") -> dict[str, str]:
    names = dynamodb.list_tables()["TableNames"]
    return {name: str(stored(dynamodb, name)) for name in names}


def test_only_two_tables_contain_the_author_of_an_anonymous_post(
    call: Call, dynamodb: "DynamoDBClient", stdout: io.StringIO
) -> None:
    for _ in range(2):
        post = created(
            call(
                "POST", "", {"content": "x", "isAnonymous": True}, headers={"Idempotency-Key": "k"}
            )
        )
    at = f"/{post['postId']}"
    comment = created(call("POST", f"{at}/comments", {"content": "x", "isAnonymous": True}))
    below = f"{at}/comments/{comment['commentId']}"
    responses = [
        call("GET", at, user="bob"),
        call("GET", "", user="bob"),
        call("GET", "", user="bob", query={"authorId": "id-of-ann"}),
        call("GET", f"{at}/comments", user="bob"),
        call("PATCH", at, {"content": "y"}),
        call("PATCH", at, {"content": "y"}, headers={"If-Match": '"9"'}),
        call("PATCH", at, {"content": ""}),
        call("PATCH", below, {"content": "y"}),
        call("DELETE", below),
        call("DELETE", at),
    ]
    assert [a["statusCode"] for a in responses] == [
        200,
        200,
        200,
        200,
        200,
        412,
        422,
        200,
        204,
        204,
    ]
    assert "Ann" not in str(responses)
    assert "id-of-ann" not in str(responses)
    assert document(responses[2])["items"] == []
    assert post["authorName"] == comment["authorName"]
    alias = AliasStore(dynamodb, "profile-aliases").get_or_create(
        "id-of-ann", "post", post["postId"]
    )
    assert alias.display_name == post["authorName"]
    assert alias.alias_id == post["aliasId"] == comment["aliasId"]
    assert not {"authorId"} & (post.keys() | comment.keys())
    assert {detail["actorId"] for _, detail in outbox_events(dynamodb)} == {alias.alias_id}
    tables_with_author = {
        name
        for name, content in all_items(dynamodb).items()
        if "id-of-ann" in content or "Ann" in content
    }
    assert tables_with_author == {"auth-sessions", "platform-authors"}
    lines = [json.loads(line) for line in stdout.getvalue().splitlines()]
    acts = [line for line in lines if line["message"] == "request" and line["method"] != "GET"]
    assert len(acts) == 9
    assert "id-of-ann" not in str(acts)
    assert "id-of-ann" not in str(lines)


def test_the_log_of_a_failed_anonymous_request_contains_no_user(
    call: Call, stdout: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = created(call("POST", "", {"content": "x", "isAnonymous": True}))
    at = f"/{post['postId']}"
    comment = created(call("POST", f"{at}/comments", {"content": "x", "isAnonymous": True}))
    monkeypatch.setattr("lambdas.common.storage.transactions.Transactions.write", lambda *_: 1 / 0)
    for method, path, body in (
        ("POST", "", {"content": "x", "isAnonymous": True}),
        ("PATCH", at, {"content": "y"}),
        ("DELETE", at, None),
        ("POST", f"{at}/comments", {"content": "x", "isAnonymous": True}),
        ("PATCH", f"{at}/comments/{comment['commentId']}", {"content": "y"}),
        ("DELETE", f"{at}/comments/{comment['commentId']}", None),
    ):
        problem(call(method, path, body), 500)
    assert "id-of-ann" not in stdout.getvalue()


def test_the_log_contains_the_user_of_public_and_moderating_requests(
    call: Call, stdout: io.StringIO
) -> None:
    public = created(call("POST", "", {"content": "x"}))
    hidden = created(call("POST", "", {"content": "x", "isAnonymous": True}, user="bob"))
    call("PATCH", f"/{public['postId']}", {"content": "y"})
    call("DELETE", f"/{hidden['postId']}", user="mod:moderator")
    call("DELETE", f"/{public['postId']}")
    lines = [json.loads(line) for line in stdout.getvalue().splitlines()]
    named = [line.get("user_id") for line in lines if line["message"] == "request"]
    assert named == ["id-of-ann", None, "id-of-ann", "id-of-mod", "id-of-ann"]


def test_anonymous_users_write_with_an_alias_and_cannot_like_or_upload(call: Call) -> None:
    post = created(call("POST", "", {"content": "x"}, user="zoe:none"))
    assert (post["isAnonymous"], "authorId" in post) == (True, False)
    assert post["authorName"] != "Zoe"
    assert problem(call("POST", "", {"content": "x", "isAnonymous": False}, user="zoe:none"), 403)[
        "code"
    ] == ("anonymous_not_allowed")
    problem(call("PUT", f"/{post['postId']}/like", user="zoe:none"), 403)
    assert (
        ok(call("PATCH", f"/{post['postId']}", {"content": "y"}, user="zoe:none"))["content"] == "y"
    )
    problem(call("PATCH", f"/{post['postId']}", {"content": "y"}, user="max:none"), 403)
    assert ok(call("GET", f"/{post['postId']}", user="zoe:none"))["likedByMe"] is False
    assert call("DELETE", f"/{post['postId']}", user="zoe:none")["statusCode"] == 204


def test_responses_contain_the_current_names_of_profiles(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    post = created(call("POST", "", {"content": "x"}))
    at = f"/{post['postId']}"
    call("POST", f"{at}/comments", {"content": "x"})
    profile = {
        "user_id": "id-of-ann",
        "display_name": "Ann B.",
        "privacy": {"displayName": "private"},
    }
    dynamodb.put_item(TableName="profile-profiles", Item=pack({**profile, "privacy": {}}))
    assert ok(call("GET", at, user="bob"))["authorName"] == "Ann B."
    assert ok(call("GET", f"{at}/comments", user="bob"))["items"][0]["authorName"] == "Ann B."
    dynamodb.put_item(TableName="profile-profiles", Item=pack(profile))
    assert "Ann" not in str(call("GET", at, user="bob"))
    assert ok(call("GET", at))["authorName"] == "Ann B."
