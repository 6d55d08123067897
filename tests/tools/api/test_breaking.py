"""Tests which changes of the API count as breaking."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tools.api.asyncapi import describe_messages
from tools.api.breaking import find_breaking_changes
from tools.api.openapi import describe_rest_api

Document = dict[str, Any]
REST = describe_rest_api()
MESSAGES = describe_messages()


def schema(document: Document, name: str) -> Any:
    return document["components"]["schemas"][name]


def operation(document: Document, method: str, path: str) -> Any:
    return document["paths"][path][method]


def changed(released: Document, change: Callable[[Document], object]) -> list[str]:
    current = copy.deepcopy(released)
    change(current)
    return find_breaking_changes(released, current)


@pytest.mark.parametrize("document", [REST, MESSAGES], ids=["OpenAPI", "AsyncAPI"])
def test_equal_documents_have_no_breaking_changes(document: Document) -> None:
    assert find_breaking_changes(document, copy.deepcopy(document)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d["paths"].pop("/health"), "GET /health was removed"),
        (
            lambda d: schema(d, "CreatePost")["required"].append("title"),
            "POST /v1/posts: body.title is required",
        ),
        (
            lambda d: schema(d, "CreatePost")["properties"]["content"].update(maxLength=9),
            "POST /v1/posts: body.content: maxLength changed from 10000 to 9",
        ),
        (
            lambda d: schema(d, "Rate")["properties"]["stars"].update(minimum=2),
            "POST /v1/catalog/listings/{listingId}/ratings: body.stars: minimum changed from 1 "
            "to 2",
        ),
        (
            lambda d: schema(d, "Register")["properties"]["displayName"].update(pattern="^A"),
            "POST /v1/auth/register: body.displayName: pattern changed from ",
        ),
        (
            lambda d: schema(d, "CreatePost")["properties"].pop("tags"),
            "POST /v1/posts: body.tags was removed",
        ),
        (
            lambda d: schema(d, "CreateRoom")["properties"]["type"]["enum"].remove("group"),
            "POST /v1/chat/rooms: body.type: group is not accepted",
        ),
        (
            lambda d: schema(d, "Rate")["properties"]["stars"].update(type="string"),
            "POST /v1/catalog/listings/{listingId}/ratings: body.stars: the type changed from "
            "integer to string",
        ),
        (
            lambda d: schema(d, "User")["properties"].pop("roles"),
            "GET /v1/auth/me: response.roles was removed",
        ),
        (
            lambda d: schema(d, "User")["required"].remove("roles"),
            "GET /v1/auth/me: response.roles can be missing",
        ),
        (
            lambda d: schema(d, "User")["properties"].update(
                displayName={"anyOf": [{"type": "string"}, {"type": "null"}]}
            ),
            "GET /v1/auth/me: response.displayName: the type changed from string to null",
        ),
        (
            lambda d: schema(d, "ListingView")["properties"]["status"]["enum"].append("lost"),
            "GET /v1/catalog/listings/{listingId}: response.status: lost is a new value",
        ),
        (
            lambda d: schema(d, "CategoryView")["properties"].pop("count"),
            "GET /v1/catalog/categories: response.items[].count was removed",
        ),
        (
            lambda d: operation(d, "get", "/v1/posts").update(security=[{"user": ["user"]}]),
            "GET /v1/posts no longer accepts callers with {'anonymous': ['read']}",
        ),
        (
            lambda d: operation(d, "post", "/v1/auth/login").update(security=[{"user": []}]),
            "POST /v1/auth/login no longer accepts callers with no token",
        ),
        (
            lambda d: operation(d, "get", "/v1/posts/{postId}")["responses"]["200"]["headers"].pop(
                "ETag"
            ),
            "GET /v1/posts/{postId}: the response 200 has no header ETag",
        ),
        (
            lambda d: operation(d, "get", "/v1/posts")["parameters"].append(
                {"name": "x", "in": "query", "required": True, "schema": {"type": "string"}}
            ),
            "GET /v1/posts: query parameter x is required",
        ),
        (
            lambda d: operation(d, "get", "/v1/posts")["parameters"].pop(0),
            "GET /v1/posts: query parameter limit was removed",
        ),
        (
            lambda d: operation(d, "post", "/v1/auth/logout")["responses"].pop("204"),
            "POST /v1/auth/logout: the response 204 was removed",
        ),
    ],
)
def test_a_breaking_change_of_the_rest_api_is_found(
    change: Callable[[Document], object], expected: str
) -> None:
    assert any(text.startswith(expected) for text in changed(REST, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["paths"].update({"/v1/new": {}}),
        lambda d: schema(d, "CreatePost")["properties"].update(mood={"type": "string"}),
        lambda d: schema(d, "CreatePost")["properties"]["content"].update(maxLength=20_000),
        lambda d: schema(d, "CreateRoom")["properties"]["type"]["enum"].append("club"),
        lambda d: schema(d, "User")["properties"].update(mood={"type": "string"}),
        lambda d: schema(d, "ListingView")["properties"]["status"]["enum"].remove("sold"),
        lambda d: operation(d, "get", "/v1/auth/me").update(summary="Other words."),
        lambda d: operation(d, "get", "/v1/posts").update(security=[]),
    ],
)
def test_an_extension_of_the_rest_api_is_not_breaking(
    change: Callable[[Document], object],
) -> None:
    assert changed(REST, change) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda d: schema(d, "SendFrame")["required"].append("replyTo"),
            "send_message: send_message.replyTo is required",
        ),
        (
            lambda d: schema(d, "JoinAck")["properties"].pop("online"),
            "join_room: join_room.ack.online was removed",
        ),
        (
            lambda d: schema(d, "Typing")["properties"].pop("isTyping"),
            "announce: typing.isTyping was removed",
        ),
        (
            lambda d: schema(d, "ListingRated")["properties"].pop("stars"),
            "publish_catalog: ListingRated.data.stars was removed",
        ),
        (lambda d: d["operations"].pop("ping"), "ping was removed"),
        (
            lambda d: d["operations"]["publish_auth"]["messages"].pop(0),
            "publish_auth: UserRegistered was removed",
        ),
    ],
)
def test_a_breaking_change_of_the_messages_is_found(
    change: Callable[[Document], object], expected: str
) -> None:
    assert expected in changed(MESSAGES, change)
