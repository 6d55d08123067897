"""Tests that the end-to-end tests find each difference between a response and its description."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api_description import (
    ApiDescription,
    DescribedOperation,
    MessageDescription,
    event_validator,
)
from tools.api.asyncapi import describe_messages

API = ApiDescription.load()
MESSAGES = MessageDescription.load()
SOCKET = describe_messages()["channels"]["socket"]["messages"]
HEADERS = {"X-Correlation-Id": "id", "Content-Type": "application/json"}
POST = "/v1/posts/some-id"


def example(operation: DescribedOperation, status: int) -> tuple[dict[str, str], Any]:
    """Returns the described headers and the example body of a response."""
    response = operation.responses[status]
    described = {"ETag": '"1"', "Location": "https://example.com/a", "Retry-After": "1"}
    known = {**described, "WWW-Authenticate": "Bearer", "X-Correlation-Id": "id"}
    headers = {name: known[name] for name in response["headers"]}
    for media_type, content in response.get("content", {}).items():
        return {**headers, "Content-Type": media_type}, content["example"]
    return headers, None


def find_defects(status: int, headers: dict[str, str], body: Any, path: str = POST) -> str:
    content = b"" if body is None else json.dumps(body).encode()
    return "; ".join(API.find_defects("GET", path, status, headers, content))


@pytest.mark.parametrize("operation", API.operations, ids=lambda operation: operation.id)
def test_the_examples_of_all_responses_match_their_descriptions(
    operation: DescribedOperation,
) -> None:
    for status in operation.responses:
        headers, body = example(operation, status)
        content = b"" if body is None else json.dumps(body).encode()
        assert [*operation.find_defects(status, headers, content)] == []


def test_each_difference_of_a_response_is_found() -> None:
    operation = API.find("GET", POST)
    assert operation
    headers, post = example(operation, 200)
    assert find_defects(200, headers, post) == ""
    name = "GET /v1/posts/{postId}"
    assert find_defects(200, headers, {**post, "likes": 1}).startswith(f"{name}, 200: the value: ")
    assert "likesCount: " in find_defects(200, headers, {**post, "likesCount": "1"})
    missing = {field: value for field, value in post.items() if field != "version"}
    assert '"version" is a required property' in find_defects(200, headers, missing)
    assert find_defects(201, headers, post) == f"{name} does not describe the status 201"
    assert find_defects(200, headers, None) == (
        f"{name}, 200: the content type is None, not application/json"
    )
    as_text = {**headers, "Content-Type": "text/html"}
    assert find_defects(200, as_text, post) == (
        f"{name}, 200: the content type is text/html, not application/json"
    )
    without = {header: value for header, value in headers.items() if header != "ETag"}
    assert find_defects(200, without, post) == f"{name}, 200: the header ETag is missing"
    assert "the header ETag: " in find_defects(200, {**headers, "ETag": "1"}, post)
    more = {**headers, "Location": "https://example.com"}
    assert find_defects(200, more, post) == f"{name}, 200: the header Location is not described"


def test_each_difference_of_an_error_is_found() -> None:
    operation = API.find("GET", POST)
    assert operation
    headers, problem = example(operation, 404)
    assert find_defects(404, headers, problem) == ""
    assert "code: " in find_defects(404, headers, {**problem, "code": "room_not_found"})
    assert "status: " in find_defects(404, headers, {**problem, "status": 403})
    incomplete = {field: value for field, value in problem.items() if field != "errors"}
    assert '"errors" is a required property' in find_defects(404, headers, incomplete)
    as_json = {**headers, "Content-Type": "application/json"}
    assert "content type" in find_defects(404, as_json, problem)


def test_a_path_without_an_operation_must_return_a_problem() -> None:
    headers, problem = example(API.operations[0], 400)
    assert find_defects(404, headers, {**problem, "code": "not_found"}, "/v1/nothing") == ""
    assert "content type" in find_defects(404, HEADERS, {}, "/v1/nothing")
    assert "is not described" in find_defects(200, HEADERS, {}, "/v1/nothing")


def test_a_literal_segment_takes_precedence_over_a_parameter() -> None:
    names = {
        path: (operation := API.find("GET", path)) and operation.id
        for path in ("/v1/profile/alias?context=a", "/v1/profile/an%2Did", "/v1/profile/a/b")
    }
    assert list(names.values()) == ["profile_get_alias", "profile_get_other_profile", None]
    assert API.find("GET", "/v1/profile/%ff") is None


@pytest.mark.parametrize("name", [name for name in SOCKET if name not in MESSAGES.actions])
def test_each_difference_of_a_frame_is_found(name: str) -> None:
    frame = SOCKET[name]["examples"][0]["payload"]
    assert MESSAGES.find_defects(frame) == []
    assert MESSAGES.find_defects({**frame, "surprise": 1})
    assert MESSAGES.find_defects({"type": frame["type"], "action": frame.get("action")})
    if name == "error":
        assert MESSAGES.find_defects({**frame, "code": "invented"})


def test_each_difference_of_an_event_is_found() -> None:
    validator = event_validator("multitask.chat", "RoomCreated")
    detail = {
        **{"eventId": "e", "occurredAt": "2026-01-31T09:30:00.000Z", "correlationId": None},
        **{"actorId": "a", "data": {"roomId": "r", "type": "public"}},
    }
    event = {
        **dict.fromkeys(("version", "id", "account", "time", "region"), "text"),
        **{"resources": [], "source": "multitask.chat", "detail-type": "RoomCreated"},
    }
    assert validator.is_valid({**event, "detail": detail})
    named = {**detail, "data": {"roomId": "r", "type": "public", "name": "Tea"}}
    assert not validator.is_valid({**event, "detail": named})
