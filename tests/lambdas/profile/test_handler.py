"""Tests the whole profile function with API Gateway events, on moto."""

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from msgspec import structs

from lambdas.common.caller import CAPABILITIES, Caller
from lambdas.common.people.profiles import UNKNOWN_NAME, ProfileReader
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.profile.handler import build, handler
from tests.lambdas.support import (
    NOW,
    REGION,
    LambdaResponse,
    caller,
    document,
    problem,
    rest_event,
    wrong_fields,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

Call = Callable[..., LambdaResponse]
FUTURE = NOW * 2  # The function compares the expiry of tokens with the system clock.
OWNER = structs.replace(caller("user", expires_at=FUTURE), user_id="owner", session_id="of-owner")
OTHER = structs.replace(caller("user", expires_at=FUTURE), user_id="other", session_id="of-other")
ANONYMOUS = Caller("ghost", "of-ghost", frozenset(), frozenset(CAPABILITIES), int(FUTURE))
NAMES = {"owner": "Ann", "other": "Bob", "ghost": "Anonymous_Panda_789"}
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR and so on"
FIELDS = {"displayName", "bio", "avatar", "location", "socialLinks", "activityStatus"}
PUBLIC = dict.fromkeys(FIELDS, "public")
INJECTIONS = [
    "<script>alert(1)</script>",
    "'; DROP TABLE profiles; --",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "#version",
    ":before",
    "../../etc/passwd",
    "\u200ftxt.exe",
    '{"$ne": null}',
    "名前 👩‍👩‍👧",
]


@pytest.fixture
def s3(aws: None) -> "S3Client":
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket="avatars")
    return client


@pytest.fixture
def environ(
    s3: "S3Client",
    table: Callable[..., str],
    dynamodb: "DynamoDBClient",
    request: pytest.FixtureRequest,
) -> dict[str, str]:
    sessions = table("session_id")
    for user in (OWNER, OTHER, ANONYMOUS):
        item = {
            "session_id": user.session_id,
            "user_id": user.user_id,
            "display_name": NAMES[user.user_id],
        }
        dynamodb.put_item(TableName=sessions, Item=pack({**item, "expires_at": int(FUTURE)}))
    return {
        "STAGE": "local",
        "REGION": REGION,
        # Powertools caches loggers by name, with their streams. Each test needs a different name.
        "POWERTOOLS_SERVICE_NAME": request.node.name,
        "DYNAMODB_TABLE_SESSIONS": sessions,
        "DYNAMODB_TABLE_IDEMPOTENCY": table("idempotency_key"),
        "DYNAMODB_TABLE_OUTBOX": table("event_id"),
        "DYNAMODB_TABLE_PROFILES": table("user_id"),
        "DYNAMODB_TABLE_ALIASES": table("alias_key"),
        "S3_BUCKET_AVATARS": "avatars",
        "CLOUDFRONT_DOMAIN": "cdn.example.com",
    }


@pytest.fixture
def call(environ: dict[str, str]) -> Call:
    service = build(environ)

    def send(
        method: str, path: str = "", body: object = None, user: Caller = OWNER, **parts: Any
    ) -> LambdaResponse:
        return service(
            rest_event(method, f"/v1/profile{path}", body, authorizer=user.to_context(), **parts),
            None,
        )

    return send


@pytest.fixture
def events(dynamodb: "DynamoDBClient") -> Callable[[], list[tuple[str, str, Any]]]:
    """Returns a function that returns type, actor and data of the events in the outbox, sorted by
    the profile's version.
    """

    def read() -> list[tuple[str, str, Any]]:
        stored = [unpack(item) for item in dynamodb.scan(TableName="event_id-table")["Items"]]
        details = [(item["event_type"], json.loads(item["detail"])) for item in stored]
        outbox_events = [(kind, detail["actorId"], detail["data"]) for kind, detail in details]
        return sorted(outbox_events, key=lambda event: event[2]["version"])

    return read


def own_profile(call: Call, user: Caller = OWNER) -> Any:
    response = call("GET", user=user)
    assert response["statusCode"] == 200, response
    return document(response)


def upload(call: Call, s3: "S3Client", content: bytes = PNG, user: Caller = OWNER) -> str:
    """Uploads a file as a client does: requests a form, then posts the file with it."""
    response = call(
        "POST", "/avatar", {"contentType": "image/png", "contentLength": len(content)}, user
    )
    assert response["statusCode"] == 201, response
    signed = document(response)
    assert signed.keys() == {"upload", "key"}
    assert signed["upload"].keys() == {"url", "fields"}
    s3.put_object(Bucket="avatars", Key=signed["key"], Body=content, ContentType="image/png")
    return str(signed["key"])


# --- the caller's profile ---


def test_the_first_read_creates_the_profile(call: Call, dynamodb: "DynamoDBClient") -> None:
    first = own_profile(call)
    joined = first["stats"].pop("joinedAt")
    assert first == {
        "userId": "owner",
        "displayName": "Ann",
        "bio": None,
        "avatarUrl": None,
        "location": None,
        "timezone": None,
        "socialLinks": {},
        "interests": [],
        "badges": [],
        "stats": {"postsCount": 0, "commentsCount": 0, "likesReceived": 0},
        "privacy": {
            **PUBLIC,
            **dict.fromkeys(["location", "socialLinks", "activityStatus"], "authenticated"),
        },
        "preferences": {
            "theme": "auto",
            "language": "en",
            "notifications": {"email": True, "push": True, "inApp": True},
            "privacy": {
                "showOnlineStatus": True,
                "allowDirectMessages": True,
                "showReadReceipts": True,
            },
        },
        "version": 1,
    }
    assert joined.endswith("Z")
    assert own_profile(call)["stats"]["joinedAt"] == joined
    assert len(dynamodb.scan(TableName="user_id-table")["Items"]) == 1


def test_the_profile_of_an_anonymous_user_is_not_stored(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    profile = own_profile(call, ANONYMOUS)
    assert (profile["userId"], profile["displayName"]) == ("ghost", "Anonymous_Panda_789")
    assert document(call("GET", "/privacy", user=ANONYMOUS)) == profile["privacy"]
    assert document(call("GET", "/preferences", user=ANONYMOUS)) == profile["preferences"]
    assert dynamodb.scan(TableName="user_id-table")["Items"] == []
    for method, path in (
        ("PUT", ""),
        ("PATCH", ""),
        ("POST", "/avatar"),
        ("PUT", "/avatar"),
        ("DELETE", "/avatar"),
    ):
        assert problem(call(method, path, {}, ANONYMOUS), 403)["code"] == "anonymous_not_allowed"


def test_put_replaces_all_fields_and_patch_only_the_given_ones(
    call: Call, events: Callable[[], Any]
) -> None:
    full = {
        "displayName": "Ann B.",
        "bio": "First line\nsecond",
        "location": "Köln",
        "timezone": "Europe/Berlin",
        "socialLinks": {
            "github": "https://github.com/ann",
            "web": "https://ann.example:8443/a?b=c#d",
        },
        "interests": ["chess", "go", "chess"],
    }
    response = call("PUT", body=full)
    replaced = document(response)
    assert response["headers"]["ETag"] == '"2"'
    assert replaced == {**replaced, **full, "interests": ["chess", "go"], "version": 2}
    assert own_profile(call) == replaced

    patch = {
        "bio": "",
        "socialLinks": {"web": None, "blog": "https://blog.example.com"},
        "timezone": None,
    }
    patched = document(call("PATCH", body=patch))
    links = {"github": "https://github.com/ann", "blog": "https://blog.example.com"}
    assert patched == {
        **replaced,
        "bio": None,
        "timezone": None,
        "socialLinks": links,
        "version": 3,
    }
    emptied = document(call("PATCH", body={"socialLinks": None, "interests": None}))
    assert (emptied["socialLinks"], emptied["interests"], emptied["location"]) == ({}, [], "Köln")

    bare = document(call("PUT", body={"displayName": "Ann"}))
    assert bare == {
        **bare,
        "displayName": "Ann",
        "bio": None,
        "location": None,
        "socialLinks": {},
        "version": 5,
    }
    fields = ["displayName", "bio", "location", "timezone", "socialLinks", "interests"]
    assert events() == [
        ("ProfileUpdated", "owner", {"userId": "owner", "version": 2, "fields": fields}),
        (
            "ProfileUpdated",
            "owner",
            {"userId": "owner", "version": 3, "fields": ["bio", "timezone", "socialLinks"]},
        ),
        (
            "ProfileUpdated",
            "owner",
            {"userId": "owner", "version": 4, "fields": ["socialLinks", "interests"]},
        ),
        (
            "ProfileUpdated",
            "owner",
            {"userId": "owner", "version": 5, "fields": ["displayName", "location"]},
        ),
    ]


@pytest.mark.parametrize(
    "body", [{}, {"displayName": "Ann"}, {"bio": None, "interests": []}, {"socialLinks": {}}]
)
def test_an_unchanged_profile_gets_no_new_version_and_no_event(
    call: Call, events: Callable[[], Any], body: dict[str, Any]
) -> None:
    assert document(call("PATCH", body=body))["version"] == 1
    assert events() == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", {"displayName": "New"}),
        ("PATCH", "", {"bio": "New"}),
        ("PUT", "/privacy", PUBLIC),
        ("PUT", "/preferences", {"theme": "dark"}),
    ],
)
def test_a_stale_version_returns_412(call: Call, method: str, path: str, body: object) -> None:
    assert call("PATCH", body={"location": "Here"})["headers"]["ETag"] == '"2"'
    for stale in ('"1"', '"3"', "1", 'W/"2"'):
        assert (
            problem(call(method, path, body, headers={"If-Match": stale}), 412)["code"]
            == "stale_version"
        )
    assert own_profile(call)["version"] == 2
    accepted = call(method, path, body, headers={"If-Match": '"2"'})
    assert (accepted["statusCode"], accepted["headers"]["ETag"]) == (200, '"3"')
    assert (
        call(method, path, {**body, "x": 1} if isinstance(body, dict) else body)["statusCode"]
        == 422
    )
    assert own_profile(call)["version"] == 3


def test_all_invalid_fields_are_reported(call: Call) -> None:
    wrong = {
        "displayName": "A",
        "bio": "x" * 501,
        "location": "x" * 101,
        "timezone": "Europe/Atlantis",
        "socialLinks": {
            "web": "http://example.com",
            "ok": "https://example.com",
            "<b>": "https://example.com",
        },
        "interests": ["x" * 51, "", "ok"],
        "userId": "somebody",
        "stats": {"postsCount": 1000},
        "badges": ["staff"],
        "version": 7,
    }
    named = {"displayName", "bio", "location", "timezone", "socialLinks.web", "socialLinks.<b>"}
    named |= {"interests.0", "interests.1", "userId", "stats", "badges", "version"}
    for method in ("PUT", "PATCH"):
        assert wrong_fields(problem(call(method, body=wrong), 422)) == named
    assert wrong_fields(problem(call("PUT", body={}), 422)) == {"displayName"}
    for body in (
        {"socialLinks": {f"l{i}": "https://example.com" for i in range(11)}},
        {"interests": [str(i) for i in range(21)]},
        {"interests": "chess"},
        {"displayName": None},
        {"displayName": " Ann"},
        {"displayName": "An\nn"},
        {"bio": "\x00"},
        {"timezone": "europe/berlin"},
        {"timezone": ""},
    ):
        assert wrong_fields(problem(call("PATCH", body=body), 422)) == set(body), body
    assert own_profile(call)["version"] == 1


def test_a_patch_that_would_add_too_many_links_is_rejected(call: Call) -> None:
    assert (
        call("PATCH", body={"socialLinks": {f"l{i}": "https://example.com" for i in range(10)}})[
            "statusCode"
        ]
        == 200
    )
    more = {"socialLinks": {"another": "https://example.com"}}
    assert wrong_fields(problem(call("PATCH", body=more), 422)) == {"socialLinks"}
    removals = {"socialLinks": {f"l{i}": None for i in range(21)}}
    assert wrong_fields(problem(call("PATCH", body=removals), 422)) == {"socialLinks"}
    assert (
        call("PATCH", body={"socialLinks": {"l0": None, "another": "https://example.com"}})[
            "statusCode"
        ]
        == 200
    )


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "https://",
        "https:// example.com",
        "https://user@example.com",
        "https://example.com@evil.example",
        "https://localhost",
        'https://example.com/"onmouseover=',
        "https://example.com/<script>",
        "https://example.com\\@evil.example",
        "https://example.com/\n",
        "HTTPS://example.com",
        "//example.com",
        "https://example.com/" + "x" * 300,
    ],
)
def test_links_must_be_plain_https_urls(call: Call, link: str) -> None:
    assert wrong_fields(problem(call("PATCH", body={"socialLinks": {"web": link}}), 422)) == {
        "socialLinks.web"
    }


@pytest.mark.parametrize("text", INJECTIONS)
def test_special_characters_are_stored_unchanged(call: Call, text: str) -> None:
    body = {"displayName": text, "bio": text, "location": text, "interests": [text]}
    assert call("PATCH", body=body)["statusCode"] == 200
    profile = own_profile(call, OWNER)
    assert {name: profile[name] for name in body} == body
    assert problem(call("PATCH", body={"timezone": text}), 422)
    assert problem(call("PATCH", body={"socialLinks": {"web": text}}), 422)
    assert problem(call("PUT", "/privacy", {**PUBLIC, "bio": text}), 422)
    assert problem(call("PUT", "/preferences", {"theme": text, "language": text}), 422)
    assert problem(call("PUT", "/avatar", {"key": text}), 422)
    problem(call("GET", "/alias", query={"contextType": "post", "context": text}), 422)
    problem(call("GET", f"/{text.replace('/', '%2F').encode().decode('latin-1')}"), 404)


# --- profiles of other users ---


def shown_profile(call: Call, user: Caller) -> Any:
    response = call("GET", "/owner", user=user)
    assert response["statusCode"] == 200, response
    return document(response)


@pytest.mark.parametrize("visibility", ["public", "authenticated", "private"])
@pytest.mark.parametrize("field", sorted(FIELDS))
def test_privacy_settings_hide_each_field(
    call: Call, s3: "S3Client", field: str, visibility: str
) -> None:
    texts = {"bio": "About", "location": "Here", "timezone": "Asia/Tokyo"}
    call(
        "PATCH",
        body={**texts, "socialLinks": {"web": "https://example.com"}, "interests": ["chess"]},
    )
    call("PUT", "/avatar", {"key": upload(call, s3)})
    assert document(call("PUT", "/privacy", {**PUBLIC, field: visibility})) == {
        **PUBLIC,
        field: visibility,
    }
    values_by_setting = {
        "displayName": {"displayName": "Ann"},
        "bio": {"bio": "About"},
        "avatar": {"avatarUrl": own_profile(call)["avatarUrl"]},
        "location": {"location": "Here", "timezone": "Asia/Tokyo"},
        "socialLinks": {"socialLinks": {"web": "https://example.com"}},
        "activityStatus": {},
    }
    all_values = {
        name: value for values in values_by_setting.values() for name, value in values.items()
    }
    for user, sees in (
        (ANONYMOUS, {"public"}),
        (OTHER, {"public", "authenticated"}),
        (OWNER, {visibility}),
    ):
        profile = shown_profile(call, user)
        expected = dict(all_values)
        if visibility not in sees:
            expected |= {
                name: {} if name == "socialLinks" else None for name in values_by_setting[field]
            }
        assert {name: profile[name] for name in all_values} == expected
        assert profile.keys() == all_values.keys() | {"userId", "interests", "badges", "stats"}


def test_location_and_links_are_hidden_from_anonymous_users_by_default(call: Call) -> None:
    call(
        "PATCH",
        body={"bio": "About", "location": "Here", "socialLinks": {"web": "https://example.com"}},
    )
    stranger, member = shown_profile(call, ANONYMOUS), shown_profile(call, OTHER)
    assert (stranger["displayName"], stranger["bio"]) == ("Ann", "About")
    assert (stranger["location"], stranger["socialLinks"]) == (None, {})
    assert (member["location"], member["socialLinks"]) == ("Here", {"web": "https://example.com"})


@pytest.mark.parametrize(
    "user_id", ["nobody", "counted", "ghost", "x" * 3000, "%F0%9F%90%BC", "a%2Fb", " "]
)
def test_a_user_without_profile_returns_404(
    call: Call, dynamodb: "DynamoDBClient", user_id: str
) -> None:
    dynamodb.put_item(
        TableName="user_id-table", Item=pack({"user_id": "counted", "posts_count": 3})
    )
    problem(call("GET", f"/{user_id}", user=OTHER), 404)


def test_profile_changes_keep_the_statistics(
    call: Call, dynamodb: "DynamoDBClient", s3: "S3Client"
) -> None:
    dynamodb.put_item(TableName="user_id-table", Item=pack({"user_id": "owner", "posts_count": 3}))
    assert own_profile(call)["stats"]["postsCount"] == 3

    def count() -> None:
        dynamodb.update_item(
            TableName="user_id-table",
            Key=pack({"user_id": "owner"}),
            UpdateExpression="ADD comments_count :one, likes_received :one",
            ExpressionAttributeValues=pack({":one": 1}),
        )

    changes = [
        ("PUT", "", {"displayName": "Ann"}),
        ("PATCH", "", {"bio": "x"}),
        ("PUT", "/privacy", PUBLIC),
    ]
    for method, path, body in [*changes, ("PUT", "/avatar", {"key": upload(call, s3)})]:
        version = own_profile(call)["version"]
        count()
        assert own_profile(call)["version"] == version  # statistics do not change the version
        assert call(method, path, body, headers={"If-Match": f'"{version}"'})["statusCode"] == 200
    stats = shown_profile(call, OTHER)["stats"]
    assert (stats["postsCount"], stats["commentsCount"], stats["likesReceived"]) == (3, 4, 4)


def test_a_negative_counter_is_shown_as_zero(call: Call, dynamodb: "DynamoDBClient") -> None:
    item = {"user_id": "owner", "posts_count": -1, "comments_count": -2, "likes_received": -3}
    dynamodb.put_item(TableName="user_id-table", Item=pack(item))
    stats = own_profile(call)["stats"]
    assert (stats["postsCount"], stats["commentsCount"], stats["likesReceived"]) == (0, 0, 0)


# --- privacy and preferences ---


def test_a_put_replaces_all_privacy_settings(call: Call, events: Callable[[], Any]) -> None:
    private = dict.fromkeys(FIELDS, "private")
    assert document(call("PUT", "/privacy", private)) == private
    response = call("GET", "/privacy")
    assert (document(response), response["headers"]["ETag"]) == (private, '"2"')
    assert own_profile(call)["privacy"] == private
    assert wrong_fields(
        problem(call("PUT", "/privacy", {"bio": "friends", "x": 1}), 422)
    ) == FIELDS | {"x"}
    assert events() == [
        ("ProfileUpdated", "owner", {"userId": "owner", "version": 2, "fields": ["privacy"]})
    ]


def test_a_put_replaces_all_preferences(call: Call, events: Callable[[], Any]) -> None:
    body = {
        "theme": "dark",
        "language": "pt-BR",
        "notifications": {"email": False, "push": True, "inApp": False},
        "privacy": {
            "showOnlineStatus": False,
            "allowDirectMessages": True,
            "showReadReceipts": False,
        },
    }
    assert document(call("PUT", "/preferences", body)) == body
    assert own_profile(call)["preferences"] == body
    partial = document(call("PUT", "/preferences", {"notifications": {"push": False}}))
    assert partial["notifications"] == {"email": True, "push": False, "inApp": True}
    assert (partial["theme"], partial["language"], partial["privacy"]["showOnlineStatus"]) == (
        "auto",
        "en",
        True,
    )
    wrong = {
        "theme": "blue",
        "language": "x y",
        "notifications": {"sms": True, "email": "no"},
        "privacy": 1,
        "z": 0,
    }
    named = {"theme", "language", "notifications.sms", "notifications.email", "privacy", "z"}
    assert wrong_fields(problem(call("PUT", "/preferences", wrong), 422)) == named
    assert [data["fields"] for _, _, data in events()] == [["preferences"], ["preferences"]]
    assert "preferences" not in shown_profile(call, OTHER)


def test_other_services_hide_a_private_name(call: Call, dynamodb: "DynamoDBClient") -> None:
    reader = ProfileReader(dynamodb, "user_id-table")
    own_profile(call)
    assert reader.display_names(["owner"], OTHER) == {"owner": "Ann"}
    call("PUT", "/privacy", {**PUBLIC, "displayName": "private"})
    assert reader.display_names(["owner"], OTHER) == {"owner": UNKNOWN_NAME}


# --- avatars ---


def test_an_avatar_is_uploaded_set_replaced_and_deleted(
    call: Call, s3: "S3Client", events: Callable[[], Any]
) -> None:
    key = upload(call, s3)
    response = call("PUT", "/avatar", {"key": key}, headers={"If-Match": '"1"'})
    profile = document(response)
    assert (response["statusCode"], response["headers"]["ETag"], profile["version"]) == (
        200,
        '"2"',
        2,
    )
    address = profile["avatarUrl"]
    served = address.removeprefix("https://cdn.example.com/")
    assert served.startswith("avatars/")
    assert "owner" not in address
    stored = s3.get_object(Bucket="avatars", Key=served)
    assert (stored["ContentType"], stored["Body"].read()) == ("image/png", PNG)

    second = document(call("PUT", "/avatar", {"key": key}))["avatarUrl"]
    assert second != address
    assert [
        item["Key"] for item in s3.list_objects_v2(Bucket="avatars", Prefix="avatars/")["Contents"]
    ] == [
        # The object of the replaced avatar is deleted.
        second.removeprefix("https://cdn.example.com/")
    ]
    for _ in range(2):
        assert call("DELETE", "/avatar")["statusCode"] == 204
    assert own_profile(call)["avatarUrl"] is None
    assert "Contents" not in s3.list_objects_v2(Bucket="avatars", Prefix="avatars/")
    assert events() == [
        ("AvatarChanged", "owner", {"userId": "owner", "version": 2, "hasAvatar": True}),
        ("AvatarChanged", "owner", {"userId": "owner", "version": 3, "hasAvatar": True}),
        ("AvatarChanged", "owner", {"userId": "owner", "version": 4, "hasAvatar": False}),
    ]


def test_an_avatar_must_be_an_image_uploaded_by_the_caller(call: Call, s3: "S3Client") -> None:
    other_users_key = upload(call, s3, user=OTHER)
    fake = upload(call, s3, b"<svg onload=alert(1)>")
    signed = document(call("POST", "/avatar", {"contentType": "image/png", "contentLength": 5}))[
        "key"
    ]
    for key in (other_users_key, fake, signed, "avatars/x"):
        assert wrong_fields(problem(call("PUT", "/avatar", {"key": key}), 422)) == {"key"}
    assert wrong_fields(problem(call("PUT", "/avatar", {}), 422)) == {"key"}
    assert own_profile(call)["avatarUrl"] is None
    wrong = {"contentType": "image/svg+xml", "contentLength": 5 * 1024 * 1024 + 1, "name": "x"}
    assert wrong_fields(problem(call("POST", "/avatar", wrong), 422)) == {
        "contentType",
        "contentLength",
        "name",
    }


def test_a_stale_version_does_not_copy_the_avatar(call: Call, s3: "S3Client") -> None:
    key = upload(call, s3)
    call("PATCH", body={"bio": "changed"})
    problem(call("PUT", "/avatar", {"key": key}, headers={"If-Match": '"1"'}), 412)
    assert "Contents" not in s3.list_objects_v2(Bucket="avatars", Prefix="avatars/")
    assert call("PUT", "/avatar", {"key": key}, headers={"If-Match": '"2"'})["statusCode"] == 200


# --- aliases ---


def test_aliases_are_stable_until_regenerated_and_do_not_reveal_the_user(
    call: Call, dynamodb: "DynamoDBClient"
) -> None:
    room = {"contextType": "chat_room", "context": "room-1"}
    first = document(call("GET", "/alias", query=room))
    assert first.keys() == {"aliasId", "displayName", "context", "contextType"}
    assert {name: first[name] for name in room} == room
    assert document(call("GET", "/alias", query=room)) == first
    other_users = document(call("GET", "/alias", query=room, user=OTHER))
    ghosts = document(call("GET", "/alias", query=room, user=ANONYMOUS))
    elsewhere = document(call("GET", "/alias", query={**room, "context": "room-2"}))
    response = call("POST", "/alias/regenerate", room)
    assert response["statusCode"] == 200
    regenerated = document(response)
    assert (
        len({alias["aliasId"] for alias in (first, other_users, ghosts, elsewhere, regenerated)})
        == 5
    )
    assert document(call("GET", "/alias", query=room)) == regenerated
    assert document(call("GET", "/alias", query={**room, "context": "room-2"})) == elsewhere
    assert "owner" not in json.dumps([first, regenerated, elsewhere])
    assert problem(call("POST", "/alias/regenerate", room, ANONYMOUS), 403)


def test_an_alias_requires_a_context(call: Call) -> None:
    assert wrong_fields(problem(call("GET", "/alias"), 422)) == {"context", "contextType"}
    wrong = {"contextType": "room", "context": "x" * 129}
    assert wrong_fields(problem(call("GET", "/alias", query=wrong), 422)) == {
        "context",
        "contextType",
    }
    assert wrong_fields(
        problem(call("POST", "/alias/regenerate", {**wrong, "aliasId": "x"}), 422)
    ) == {
        "context",
        "contextType",
        "aliasId",
    }


# --- the function ---


@pytest.mark.parametrize("path", ["", "/privacy", "/preferences", "/avatar"])
def test_malformed_bodies_return_400(call: Call, path: str) -> None:
    assert problem(call("PUT", path, "{"), 400)["code"] == "malformed_json"
    problem(call("PUT", path, "[]"), 400)
    problem(call("PUT", path, '{"bio": "\\ud800"}'), 400)
    problem(call("PUT", path, f'{{"bio": "{"x" * 2**20}"}}'), 413)
    problem(
        call("PUT", path, "bio=x", headers={"Content-Type": "application/x-www-form-urlencoded"}),
        415,
    )


def test_texts_aliases_and_upload_forms_are_not_logged(
    stdout: io.StringIO, call: Call, s3: "S3Client"
) -> None:
    key = upload(call, s3)
    call("PUT", "/avatar", {"key": key})
    secret = {
        "displayName": "Tell-tale",
        "bio": "Tell-tale",
        "socialLinks": {"web": "https://tell-tale.example"},
    }
    call("PUT", body=secret)
    alias = document(
        call("GET", "/alias", query={"contextType": "post", "context": "tell-tale-post"})
    )
    written = stdout.getvalue()
    assert len(written.splitlines()) == 4
    for text in (
        "tell-tale",
        alias["aliasId"],
        alias["displayName"].lower(),
        key,
        "signature",
        "policy",
    ):
        assert text not in written.lower()


def test_a_function_without_its_environment_variables_returns_500(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DYNAMODB_TABLE_PROFILES", raising=False)
    assert problem(handler(rest_event("GET", "/v1/profile"), None), 500)["code"] == "internal_error"
