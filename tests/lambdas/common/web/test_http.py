"""Tests how events become requests, and how responses become results of a function."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.common.problems import Problem
from lambdas.common.web.http import BODY_LIMIT, Request, Response
from tests.lambdas.support import rest_event


def request(
    method: str = "POST", path: str = "/v1/auth/login", body: object = None, **parts: Any
) -> Request:
    return Request(rest_event(method, path, body, **parts))


def problem_of(call: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        call()
    return raised.value


def test_body_above_the_size_limit_returns_413() -> None:
    fits = '"' + "x" * (BODY_LIMIT - 2) + '"'
    assert len(request(body=fits).body) == BODY_LIMIT
    assert problem_of(lambda: request(body=fits + " ").json).status == 413


def test_size_limit_counts_bytes_and_not_characters() -> None:
    assert problem_of(lambda: request(body="é" * (BODY_LIMIT // 2 + 1)).json).status == 413


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "APPLICATION/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
def test_json_content_types_are_accepted(content_type: str) -> None:
    assert request(body={"a": 1}, headers={"Content-Type": content_type}).json == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json; charset=latin-1",
        "application/x-www-form-urlencoded",
        "json",
        "/",
    ],
)
def test_other_content_types_return_415(content_type: str) -> None:
    assert (
        problem_of(
            lambda: request(body={"a": 1}, headers={"Content-Type": content_type}).json
        ).status
        == 415
    )


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "1",
        "null",
        '"x"',
        '{"a": NaN}',
        "[" * 100_000,
        '{"a": "\\ud800"}',
        "\ud800",
        "{}x",
    ],
)
def test_malformed_bodies_return_400(body: str) -> None:
    assert problem_of(lambda: request(body=body).json).status == 400


def test_a_missing_body_is_an_empty_object() -> None:
    assert request(headers={"Content-Type": "text/plain"}).json == {}


def test_a_base64_body_is_decoded() -> None:
    event = rest_event(
        "POST",
        "/v1/auth/login",
        base64.b64encode(b'{"a": 1}').decode(),
        headers={"Content-Type": "application/json"},
    )
    assert Request({**event, "isBase64Encoded": True}).json == {"a": 1}
    assert (
        problem_of(lambda: Request({**event, "isBase64Encoded": True, "body": "%"}).json).status
        == 400
    )


def test_header_names_are_case_insensitive() -> None:
    event = rest_event("GET", "/v1/auth/me")
    event["multiValueHeaders"] = {"if-match": ["1"], "If-Match": ["1"], "X-Two": ["a", "b"]}
    assert Request(event).header("IF-MATCH") == "1"
    assert problem_of(lambda: Request(event).header("x-two")).status == 400


def test_events_without_multi_value_headers_and_query_are_accepted() -> None:
    event = rest_event("GET", "/v1/auth/me", headers={"If-Match": "1"}, query={"limit": "5"})
    event["multiValueHeaders"] = event["multiValueQueryStringParameters"] = None
    assert Request(event).header("If-Match") == "1"
    assert Request(event).query == {"limit": "5"}


def test_query_parameter_with_two_values_returns_400() -> None:
    event = {
        **rest_event("GET", "/v1/posts"),
        "multiValueQueryStringParameters": {"tag": ["a", "b"]},
    }
    assert problem_of(lambda: Request(event).query).status == 400


@pytest.mark.parametrize("prefix", ["", "/base", "/restapis/abc/local/_user_request_"])
def test_the_base_path_of_a_domain_is_removed_from_the_path(prefix: str) -> None:
    event = rest_event("GET", f"{prefix}/v1/auth/sessions/a", resource="/v1/auth/{proxy+}")
    assert Request(event).segments == ("v1", "auth", "sessions", "a")


@given(st.text(min_size=1))
def test_any_percent_encoded_text_is_decoded_as_one_segment(text: str) -> None:
    try:
        encoded = "".join(f"%{byte:02X}" for byte in text.encode())
    except UnicodeEncodeError:
        return  # a lone surrogate cannot be encoded as UTF-8
    assert request("GET", f"/v1/auth/sessions/{encoded}").segments[-1] == text


def test_a_path_that_is_not_utf8_returns_400() -> None:
    assert problem_of(lambda: request("GET", "/v1/auth/%FF").segments).status == 400


@pytest.mark.parametrize("given_id", ["abc-123", "A" * 128])
def test_a_valid_correlation_id_is_used(given_id: str) -> None:
    assert request(headers={"x-correlation-id": given_id}).correlation_id == given_id


@pytest.mark.parametrize("given_id", ["", "a b", "a\nb", "A" * 129, "é"])
def test_an_invalid_correlation_id_is_replaced(given_id: str) -> None:
    assert request(headers={"X-Correlation-Id": given_id}).correlation_id not in {given_id, ""}


def test_responses_have_json_and_cache_headers() -> None:
    response = Response.created({"a": "é"}).to_event()
    assert (response["statusCode"], response["body"]) == (201, '{"a":"é"}')
    assert response["headers"]["Content-Type"] == "application/json"
    assert response["headers"]["Cache-Control"] == "no-store"
    assert response["headers"]["X-Content-Type-Options"] == "nosniff"
    assert Response.no_content().to_event()["body"] == ""
