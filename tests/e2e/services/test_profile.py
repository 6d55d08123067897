"""Tests profiles, avatars and aliases on the applied platform, with IAM enforced."""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.inbox import Inbox
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person, User

FIELDS = ("displayName", "bio", "avatar", "location", "socialLinks", "activityStatus")
PUBLIC = dict.fromkeys(FIELDS, "public")
RESPONSE_FIELDS = {
    "displayName": ["displayName"],
    "bio": ["bio"],
    "avatar": ["avatarUrl"],
    "location": ["location", "timezone"],
    "socialLinks": ["socialLinks"],
    "activityStatus": [],
}
HOSTILE_TEXTS = [
    "<script>alert(1)</script>",
    "'; DROP TABLE profiles; --",
    "${jndi:ldap://example.com/x}",
    "{{7*7}} #version :before",
    "../../../etc/passwd",
    '{"$ne": null}',
    "名前 👩‍👩‍👧",
]


def create_png(size: int = 1) -> bytes:
    """Returns a grey PNG image of `size` by `size` pixels."""

    def create_chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * size) * size)
    return (
        b"\x89PNG\r\n\x1a\n"
        + create_chunk(b"IHDR", header)
        + create_chunk(b"IDAT", pixels)
        + create_chunk(b"IEND", b"")
    )


class Profiles:
    """Calls /v1/profile as one user."""

    def __init__(self, api: Api, token: str) -> None:
        self._api = api
        self.token = token

    def call(self, method: str, path: str = "", body: object = None, **headers: str) -> ApiResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._api.call(method, f"/v1/profile{path}", body, token=self.token, headers=named)

    def read_own(self) -> Any:
        return self.call("GET").expect(200)

    def sign_upload(self, content: bytes, content_type: str = "image/png") -> Any:
        return self.call(
            "POST", "/avatar", {"contentType": content_type, "contentLength": len(content)}
        ).expect(201)

    def upload(self, content: bytes, content_type: str = "image/png") -> str:
        signed = self.sign_upload(content, content_type)
        assert self.post_file(signed, content) == 204
        return str(signed["key"])

    def post_file(self, signed: Any, content: bytes, **changed: str) -> int:
        """Posts a file with the signed form in `signed`, and returns the status of the response.

        The values in `changed` replace those of the form's fields with the same names.
        """
        form = signed["upload"]
        return self._api.post_form(
            {**form, "fields": {**form["fields"], **changed}}, content
        ).status

    def set_avatar(self, content: bytes) -> str:
        return str(
            self.call("PUT", "/avatar", {"key": self.upload(content)}).expect(200)["avatarUrl"]
        )


@pytest.fixture
def owner(platform: Platform) -> User:
    return User.create(platform, "Ada Example")


@pytest.fixture
def owner_client(api: Api, owner: User) -> Profiles:
    return Profiles(api, owner.token)


@pytest.fixture
def other_client(platform: Platform, api: Api) -> Profiles:
    return Profiles(api, User.create(platform, "Bob Example").token)


@pytest.fixture
def visitor(api: Api) -> Profiles:
    """Calls /v1/profile as an anonymous user."""
    return Profiles(api, api.post("/v1/auth/anonymous", {}).expect(201)["accessToken"])


@pytest.fixture
def fetch(platform: Platform) -> Any:
    """Returns a function that sends a GET request to a URL of the CDN."""

    def get(address: str) -> ApiResponse:
        assert address.startswith(platform.outputs["cdn_url"] + "/")
        return platform.fetch_from_cdn(address)

    return get


def test_a_profile_is_created_at_the_first_read_and_can_be_changed(
    owner_client: Profiles, owner: User
) -> None:
    response = owner_client.call("GET")
    first = response.expect(200)
    assert (first["userId"], first["displayName"]) == (owner.user_id, owner.display_name)
    assert first["stats"].keys() == {"postsCount", "commentsCount", "likesReceived", "joinedAt"}
    assert response.headers["ETag"] == f'"{first["version"]}"'

    body = {
        "displayName": "Ada L.",
        "bio": "Two\nlines",
        "location": "London",
        "timezone": "Europe/London",
        "socialLinks": {"web": "https://ada.example.com"},
        "interests": ["engines", "numbers"],
    }
    replaced = owner_client.call("PUT", "", body, If_Match=response.headers["ETag"]).expect(200)
    assert replaced == {**replaced, **body, "version": first["version"] + 1}
    owner_client.call("PUT", "", body, If_Match=response.headers["ETag"]).expect_problem(
        412, "stale_version"
    )
    patch = {"bio": None, "socialLinks": {"code": "https://code.example.com"}}
    patched = owner_client.call("PATCH", "", patch).expect(200)
    assert (patched["bio"], patched["location"], len(patched["socialLinks"])) == (None, "London", 2)
    assert owner_client.read_own() == patched


def test_exactly_one_of_several_concurrent_changes_of_a_version_succeeds(
    owner_client: Profiles,
) -> None:
    version = owner_client.read_own()["version"]

    def change(number: int) -> int:
        return owner_client.call(
            "PATCH", "", {"bio": f"writer {number}"}, If_Match=f'"{version}"'
        ).status

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(change, range(4)))
    assert statuses == [200, *[412] * 3]
    assert owner_client.read_own()["version"] == version + 1


def test_others_see_only_the_fields_that_the_privacy_settings_allow(
    owner_client: Profiles, other_client: Profiles, visitor: Profiles, owner: User
) -> None:
    links = {"web": "https://ada.example.com"}
    texts = {
        "bio": "About",
        "location": "London",
        "timezone": "Europe/London",
        "socialLinks": links,
    }
    owner_client.call("PATCH", "", texts).expect(200)
    owner_client.set_avatar(create_png())
    own = owner_client.read_own()
    complete = {name: own[name] for names in RESPONSE_FIELDS.values() for name in names}
    assert all(complete.values())
    viewers_by_visibility = {
        "public": {owner_client, other_client, visitor},
        "authenticated": {owner_client, other_client},
        "private": {owner_client},
    }
    for field in FIELDS:
        for visibility, allowed_viewers in viewers_by_visibility.items():
            privacy = {**PUBLIC, field: visibility}
            assert owner_client.call("PUT", "/privacy", privacy).expect(200) == privacy
            for viewer in (owner_client, other_client, visitor):
                profile = viewer.call("GET", f"/{owner.user_id}").expect(200)
                hidden = {name for name, value in complete.items() if profile[name] != value}
                assert hidden == (
                    set() if viewer in allowed_viewers else set(RESPONSE_FIELDS[field])
                ), (
                    field,
                    visibility,
                )
                assert not any(profile[name] for name in hidden)
                assert not profile.keys() & {"privacy", "preferences", "version", "email"}
    other_client.call("GET", "/nobody").expect_problem(404)


def test_users_change_only_their_own_privacy_and_preferences(
    owner_client: Profiles, other_client: Profiles
) -> None:
    preferences = {
        "theme": "dark",
        "language": "de-AT",
        "notifications": {"email": False, "push": False, "inApp": True},
        "privacy": {
            "showOnlineStatus": False,
            "allowDirectMessages": False,
            "showReadReceipts": True,
        },
    }
    assert owner_client.call("PUT", "/preferences", preferences).expect(200) == preferences
    owner_client.call("PUT", "/privacy", dict.fromkeys(FIELDS, "private")).expect(200)
    assert owner_client.call("GET", "/preferences").expect(200) == preferences
    assert set(owner_client.call("GET", "/privacy").expect(200).values()) == {"private"}
    assert other_client.call("GET", "/preferences").expect(200) != preferences
    assert owner_client.call("PUT", "/privacy", {"bio": "public"}).list_invalid_fields() == set(
        FIELDS
    ) - {"bio"}


def test_an_avatar_is_uploaded_with_a_strict_form_and_served_by_the_cdn(
    owner_client: Profiles, platform: Platform, fetch: Any, owner: User
) -> None:
    picture = create_png(16)
    signed = owner_client.sign_upload(picture)
    assert signed["key"].startswith(f"uploads/profile/{owner.user_id}/")
    # The form is valid only for this key, type and size.
    assert owner_client.post_file(signed, picture + b"x") in {400, 403}
    assert owner_client.post_file(signed, picture[:-1]) in {400, 403}
    assert owner_client.post_file(signed, picture, key=f"avatars/{uuid.uuid4().hex}") == 403
    assert owner_client.post_file(signed, picture, key=signed["key"] + "x") == 403
    assert owner_client.post_file(signed, picture, **{"Content-Type": "text/html"}) == 403
    assert owner_client.post_file(signed, picture, **{"x-amz-signature": "0" * 64}) == 403
    assert owner_client.call("PUT", "/avatar", {"key": signed["key"]}).list_invalid_fields() == {
        "key"
    }  # no file has been uploaded under the key yet
    assert owner_client.post_file(signed, picture) == 204

    profile = owner_client.call("PUT", "/avatar", {"key": signed["key"]}).expect(200)
    served = fetch(profile["avatarUrl"])
    assert (served.status, served.body) == (200, picture)
    assert served.headers["Content-Type"] == "image/png"
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in served.headers["Content-Security-Policy"]
    assert owner.user_id not in profile["avatarUrl"]
    # The CDN serves the avatar, but not the upload from which it was copied.
    assert fetch(f"{platform.outputs['cdn_url']}/{signed['key']}").status in {403, 404}
    bucket = platform.outputs["avatars_bucket"]
    assert (
        Api(platform.cloud.endpoint or "", is_described=False)
        .get(f"/{bucket}/{signed['key']}")
        .status
        == 403
    )

    newer = owner_client.set_avatar(create_png(2))
    assert fetch(newer).body == create_png(2)
    assert fetch(profile["avatarUrl"]).status in {403, 404}
    owner_client.call("DELETE", "/avatar").expect(204)
    assert owner_client.read_own()["avatarUrl"] is None
    assert fetch(newer).status in {403, 404}
    owner_client.call("DELETE", "/avatar").expect(204)


def test_an_avatar_must_be_an_image_that_the_same_user_uploaded(
    owner_client: Profiles, other_client: Profiles
) -> None:
    for content in (b"<svg onload=alert(1)>", b"GIF89a", b"\xff\xd8\xff\xe0 a JPEG"):
        assert owner_client.call(
            "PUT", "/avatar", {"key": owner_client.upload(content)}
        ).list_invalid_fields() == {"key"}
    key = other_client.upload(create_png())
    assert owner_client.call("PUT", "/avatar", {"key": key}).list_invalid_fields() == {"key"}
    other_client.call("PUT", "/avatar", {"key": key}).expect(200)
    wrong = {"contentType": "image/gif", "contentLength": 5 * 1024 * 1024 + 1}
    assert owner_client.call("POST", "/avatar", wrong).list_invalid_fields() == {
        "contentType",
        "contentLength",
    }
    assert owner_client.read_own()["avatarUrl"] is None


def test_an_alias_is_stable_per_user_and_context_until_it_is_regenerated(
    owner_client: Profiles, other_client: Profiles, visitor: Profiles
) -> None:
    room = uuid.uuid4().hex
    path = f"/alias?contextType=chat_room&context={room}"
    first = owner_client.call("GET", path).expect(200)
    assert (first["contextType"], first["context"]) == ("chat_room", room)
    with ThreadPoolExecutor(4) as pool:
        others = list(
            pool.map(lambda _: other_client.call("GET", path).expect(200)["aliasId"], range(4))
        )
    assert len({*others}) == 1
    assert owner_client.call("GET", path).expect(200) == first
    body = {"contextType": "chat_room", "context": room}
    again = owner_client.call("POST", "/alias/regenerate", body).expect(200)
    ids = [
        first["aliasId"],
        again["aliasId"],
        others[0],
        visitor.call("GET", path).expect(200)["aliasId"],
    ]
    assert len({*ids}) == 4
    assert owner_client.call("GET", path).expect(200) == again
    assert owner_client.call("GET", "/alias?contextType=moon").list_invalid_fields() == {
        "contextType",
        "context",
    }


def test_invalid_bodies_are_rejected(owner_client: Profiles, visitor: Profiles) -> None:
    owner_client.call("PUT", "", b"{").expect_problem(400, "malformed_json")
    owner_client.call("PATCH", "", b'["bio"]').expect_problem(400, "malformed_json")
    owner_client.call("PATCH", "", b'{"bio": "' + b"x" * 1024 * 1024 + b'"}').expect_problem(
        413, "body_too_large"
    )
    owner_client.call("PATCH", "", b"bio=x", Content_Type="text/plain").expect_problem(415)
    body = {
        "displayName": "A",
        "bio": "x" * 501,
        "timezone": "Mars/Olympus",
        "stats": {},
        "userId": "x",
    }
    assert owner_client.call("PATCH", "", body).list_invalid_fields() == set(body)
    owner_client.call("POST", "", {}).expect_problem(405)
    for method, path in (("PUT", ""), ("PATCH", ""), ("POST", "/avatar"), ("PUT", "/privacy")):
        visitor.call(method, path, {}).expect_problem(403, "anonymous_not_allowed")


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_text_is_stored_unchanged_and_not_interpreted(
    owner_client: Profiles, other_client: Profiles, owner: User, text: str
) -> None:
    body = {"displayName": text, "bio": text, "location": text, "interests": [text]}
    owner_client.call("PATCH", "", body).expect(200)
    seen = other_client.call("GET", f"/{owner.user_id}").expect(200)
    assert {**body, "location": text} == {name: seen[name] for name in body}
    wrong = {"timezone": text, "socialLinks": {"web": text}}
    assert owner_client.call("PATCH", "", wrong).list_invalid_fields() == {
        "timezone",
        "socialLinks.web",
    }
    assert owner_client.call("PUT", "/avatar", {"key": text}).list_invalid_fields() == {"key"}
    assert owner_client.call(
        "PUT", "/preferences", {"theme": text, "language": text}
    ).list_invalid_fields() == {
        "theme",
        "language",
    }
    alias = owner_client.call("GET", f"/alias?contextType=post&context={quote(text)}")
    assert alias.list_invalid_fields() == {"context"}
    other_client.call("GET", f"/{quote(text, safe='')}").expect_problem(404)


def test_changes_are_published_without_private_data(
    bus: Inbox, api: Api, person: Person, platform: Platform
) -> None:
    owner_client = Profiles(api, person.access_token)
    body = {"displayName": "Tell-tale name", "bio": "Tell-tale bio", "location": "Tell-tale place"}
    version = owner_client.call("PATCH", "", body, X_Correlation_Id="trace-of-a-profile").expect(
        200
    )["version"]
    address = owner_client.set_avatar(create_png())
    updated, changed = (
        bus.wait_for_event(person, "ProfileUpdated")["detail"],
        bus.wait_for_event(person, "AvatarChanged")["detail"],
    )
    assert updated["correlationId"] == "trace-of-a-profile"
    fields = ["displayName", "bio", "location"]
    assert updated["data"] == {"userId": person.user_id, "version": version, "fields": fields}
    assert changed["data"] == {"userId": person.user_id, "version": version + 1, "hasAvatar": True}
    alias = owner_client.call("GET", "/alias?contextType=post&context=tell-tale-context").expect(
        200
    )
    texts = json.dumps([updated, changed]) + "\n".join(platform.read_log_lines("profile"))
    for secret in (
        "Tell-tale",
        address,
        alias["aliasId"],
        "tell-tale-context",
        "x-amz-signature",
        owner_client.token,
    ):
        assert secret not in texts
