"""Tests the requests of the smoke tests against the description of the API."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ops.smoke import load_suites
from ops.smoke.suite import Request, Suite
from tests.api_description import ApiDescription, DescribedOperation, MessageDescription

API = ApiDescription.load()
SUITES = [suite for suite in load_suites().values() if suite.path]
VALUES = {"email": "ann@example.com", "password": "Correct-horse-1"}
"""Values for `${...}` variables in requests. All other variables have the value `some-id`.

The schemas of request bodies do not accept `some-id` for these variables.
"""

all_suites = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.service)
all_requests = pytest.mark.parametrize(
    ("suite", "request_"),
    [(suite, request) for suite in SUITES for request in suite.requests],
    ids=lambda value: value.call if isinstance(value, Request) else value.service,
)


def filled(value: Any) -> Any:
    """Returns the value with its variables replaced."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda match: VALUES.get(match[1], "some-id"), value)
    return value


def operation_of(request: Request) -> DescribedOperation:
    operation = API.find(request.method, filled(request.path))
    assert operation, f"{request.call} is not an operation"
    return operation


@all_suites
def test_a_suite_has_a_request_for_each_operation_of_its_service(suite: Suite) -> None:
    expected = {
        operation.name for operation in API.operations if operation.service == suite.service
    }
    assert {operation_of(request).name for request in suite.requests} == expected


def test_every_service_has_a_suite() -> None:
    assert {operation.service for operation in API.operations} == {s.service for s in SUITES}


@all_requests
def test_the_expected_statuses_are_in_the_api_description(suite: Suite, request_: Request) -> None:
    described = operation_of(request_).responses.keys()
    if request_.expect == "refused":
        assert request_.expected & described
    else:
        assert request_.expected <= described


@all_requests
def test_a_body_matches_its_schema_unless_an_error_is_expected(
    suite: Suite, request_: Request
) -> None:
    operation = operation_of(request_)
    if request_.body is None:
        return
    assert operation.body, f"{request_.call} has no body"
    errors = operation.document.errors(operation.body, filled(request_.body))
    if operation.success in request_.expected:
        assert errors == []
    elif request_.expected == {422}:
        assert errors != []


@all_requests
def test_values_that_later_requests_use_are_in_the_response_example_of_the_api_description(
    suite: Suite, request_: Request
) -> None:
    response = operation_of(request_).responses[operation_of(request_).success]
    for path in request_.keep.values():
        value = response["content"]["application/json"]["example"]
        for part in path.split("."):
            value = value[int(part)] if part.isdecimal() else value[part]
        assert value


def test_the_frames_and_their_expected_responses_are_in_the_api_description() -> None:
    messages = MessageDescription.load()
    error = messages.document.content["components"]["schemas"]["Error"]
    codes = error["properties"]["code"]["enum"]
    for suite in SUITES:
        for frame in suite.socket.frames if suite.socket else ():
            action = frame.send["action"]
            assert frame.expect == "ack" or frame.expect in codes
            assert action in messages.actions or frame.expect == "unknown_action"
