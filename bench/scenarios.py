"""Defines the calls that bench/handlers.py makes to each service in every round."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import urllib3

from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import PASSWORD, User

PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)
"""Data with the signature of a PNG. Services check only the signature."""


class Caller(Protocol):
    """Calls a service and records how many seconds its code takes, by route."""

    platform: Platform
    user: User

    def call(
        self, method: str, route: str, body: object = None, *, user: User | None = None, **more: Any
    ) -> Any: ...


def upload(form: Mapping[str, Any]) -> None:
    """Uploads a PNG with a signed form that a service returned."""
    urllib3.request("POST", form["url"], fields={**form["fields"], "file": ("picture", PNG)})


def auth(session: Caller) -> None:
    """Registers an account, signs in, changes the password, and signs in an anonymous user."""
    call, v1 = session.call, "/v1/auth"
    email = f"bench-{uuid.uuid4().hex}@example.com"
    call(
        "POST",
        f"{v1}/register",
        {"email": email, "password": PASSWORD, "displayName": "Ann Example"},
    )
    call("POST", f"{v1}/resend-confirmation", {"email": email})
    code = session.platform.read_mailed_code(email)
    call("POST", f"{v1}/confirm", {"email": email, "code": code})
    tokens = call("POST", f"{v1}/login", {"email": email, "password": PASSWORD})
    tokens = call("POST", f"{v1}/refresh", {"refreshToken": tokens["refreshToken"]})
    token = tokens["accessToken"]
    call("GET", f"{v1}/me", token=token)
    call("GET", f"{v1}/sessions", token=token)
    other = call("POST", f"{v1}/login", {"email": email, "password": PASSWORD})["accessToken"]
    [session_id] = [
        s["sessionId"]
        for s in call("GET", f"{v1}/sessions", token=token)["items"]
        if not s["current"]
    ]
    call("DELETE", f"{v1}/sessions/{{sessionId}}", token=token, sessionId=session_id)
    assert other != token
    passwords = {"currentPassword": PASSWORD, "newPassword": "Better-horse-2"}
    call("POST", f"{v1}/change-password", passwords, token=token)
    call("POST", f"{v1}/forgot-password", {"email": email})
    code = session.platform.read_mailed_code(email)
    call("POST", f"{v1}/reset-password", {"email": email, "code": code, "newPassword": PASSWORD})
    visitor = call("POST", f"{v1}/anonymous", {})
    call("POST", f"{v1}/logout", {}, token=visitor["accessToken"])


def profile(session: Caller) -> None:
    """Reads and changes a profile, its avatar, privacy, preferences and alias."""
    call, v1 = session.call, "/v1/profile"
    version = call("GET", v1)["version"]
    whole = {
        "displayName": "Ann Example",
        "bio": f"Words {version}. " * 20,
        "location": "Here",
        "timezone": "Asia/Tokyo",
        "socialLinks": {"web": "https://ann.example.com", "code": "https://code.example.com/ann"},
        "interests": ["chess", "go", "poetry"],
    }
    call("PUT", v1, whole, headers={"If-Match": f'"{version}"'})
    call("PATCH", v1, {"bio": "Other words.", "socialLinks": {"code": None}})
    call("GET", f"{v1}/{{userId}}", userId=session.user.user_id)
    signed = call("POST", f"{v1}/avatar", {"contentType": "image/png", "contentLength": len(PNG)})
    upload(signed["upload"])
    call("PUT", f"{v1}/avatar", {"key": signed["key"]})
    call("DELETE", f"{v1}/avatar")
    privacy = call("GET", f"{v1}/privacy")
    other = "private" if privacy["bio"] == "public" else "public"
    call("PUT", f"{v1}/privacy", {**privacy, "bio": other})
    preferences = call("GET", f"{v1}/preferences")
    theme = "light" if preferences["theme"] == "dark" else "dark"
    call("PUT", f"{v1}/preferences", {**preferences, "theme": theme})
    context = {"contextType": "post", "context": str(version)}
    call("GET", f"{v1}/alias", query=context)
    call("POST", f"{v1}/alias/regenerate", context)


def post(session: Caller) -> None:
    """Creates, reads, changes and deletes a post, and lists posts and comments."""
    call, posts, one = session.call, "/v1/posts", "/v1/posts/{postId}"
    comments, comment = f"{one}/comments", f"{one}/comments/{{commentId}}"
    call("POST", f"{posts}/uploads", {"contentType": "image/png", "contentLength": 1000})
    body = {"content": "Some words. " * 50, "title": "A title", "tags": ["bench", "python"]}
    at = {"postId": call("POST", posts, body)["postId"]}
    call("GET", posts)
    call("GET", one, **at)
    call("PATCH", one, {"content": "Other words. " * 50}, headers={"If-Match": '"1"'}, **at)
    call("PUT", f"{one}/like", **at)
    call("DELETE", f"{one}/like", **at)
    made = call("POST", comments, {"content": "Some words.", "isAnonymous": True}, **at)
    call("GET", comments, **at)
    below = {**at, "commentId": made["commentId"]}
    call("PATCH", comment, {"content": "Other words."}, **below)
    call("DELETE", comment, **below)
    call("DELETE", one, **at)


def chat(session: Caller) -> None:
    """Creates, uses and deletes a chat room with two members over REST.

    WebSocket frames call the same code.
    """
    call, rooms, one = session.call, "/v1/chat/rooms", "/v1/chat/rooms/{roomId}"
    members, messages, attachments = f"{one}/members", f"{one}/messages", f"{one}/attachments"
    member, message, reaction = (
        f"{members}/{{userId}}",
        f"{messages}/{{messageId}}",
        f"{messages}/{{messageId}}/reactions/{{emoji}}",
    )
    other = User.create(session.platform, "Bob Example")
    # The first request of a user creates the profile. Users without a profile cannot be invited.
    Api(session.platform.api_url).call("GET", "/v1/profile", token=other.token).expect(200)
    at = {"roomId": call("POST", rooms, {"name": "A room", "type": "public"})["roomId"]}
    call("GET", rooms)
    call("GET", one, **at)
    call("PATCH", one, {"description": "Some words."}, headers={"If-Match": '"1"'}, **at)
    call("POST", f"{one}/join", {}, user=other, **at)
    call("GET", members, **at)
    call("PATCH", member, {"role": "moderator"}, userId=other.user_id, **at)
    file = {"fileName": "picture.png", "contentType": "image/png", "contentLength": len(PNG)}
    signed = call("POST", attachments, file, **at)
    upload(signed["upload"])
    call(
        "POST",
        messages,
        {"content": "Look.", "type": "image", "attachments": [signed["key"]]},
        **at,
    )
    call("GET", f"{attachments}/{{attachmentId}}", attachmentId=signed["attachmentId"], **at)
    at_message = {
        **at,
        "messageId": call("POST", messages, {"content": "Some words. " * 10}, **at)["messageId"],
    }
    call("GET", messages, **at)
    call("PATCH", message, {"content": "Other words."}, **at_message)
    call("PUT", reaction, user=other, emoji="+1", **at_message)
    call("DELETE", reaction, user=other, emoji="+1", **at_message)
    call("DELETE", message, **at_message)
    call("POST", "/v1/chat/tickets", {})
    call("DELETE", f"{one}/leave", user=other, **at)
    call("POST", members, {"userId": other.user_id}, **at)
    call("DELETE", member, userId=other.user_id, **at)
    call("DELETE", one, **at)


def catalog(session: Caller) -> None:
    """Creates, changes and deletes a listing, and calls the routes that a buyer uses."""
    call, v1 = session.call, "/v1/catalog"
    listings, one, wish = (
        f"{v1}/listings",
        f"{v1}/listings/{{listingId}}",
        f"{v1}/wishlist/{{listingId}}",
    )
    buyer = User.create(session.platform, "Bob Example")
    call("POST", f"{v1}/uploads", {"contentType": "image/png", "contentLength": 1000})
    body = {
        "title": "A red bicycle",
        "description": "Some words. " * 50,
        "category": "bicycles",
        "tags": ["fast"],
    }
    at = {
        "listingId": call(
            "POST", listings, {**body, "price": {"amount": 12_345, "currency": "EUR"}}
        )["listingId"]
    }
    call("GET", listings)
    call("GET", one, **at)
    call("GET", f"{v1}/categories")
    call("PUT", wish, user=buyer, **at)
    call("GET", f"{v1}/wishlist", user=buyer)
    call("DELETE", wish, user=buyer, **at)
    call("POST", f"{one}/ratings", {"stars": 4}, user=buyer, **at)
    call("POST", f"{one}/contact", {"message": "Is it still there?"}, user=buyer, **at)
    call("PATCH", one, {"status": "reserved"}, headers={"If-Match": '"1"'}, **at)
    call("DELETE", one, **at)


SCENARIOS: Mapping[str, Callable[[Caller], None]] = {
    "auth": auth,
    "profile": profile,
    "post": post,
    "chat": chat,
    "catalog": catalog,
}
