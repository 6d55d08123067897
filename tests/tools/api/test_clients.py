"""Tests the types of TypeScript clients.

Also tests that the OpenAPI document, the reference page, the fuzz tests and the types include a new
operation without further changes, and that a missing smoke request is detected.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import Struct

from lambdas.common.caller import USER
from lambdas.common.validation import Body
from lambdas.common.web.access import role
from lambdas.common.web.http import Request, Response
from lambdas.common.web.router import Route
from lambdas.post.models import Content
from ops.smoke import load_suites
from tests.api_description import ApiDescription
from tests.e2e.fuzz.cases import Case, cases
from tests.tools.api.programs import check_types, generate_types
from tools.api.asyncapi import describe_messages
from tools.api.openapi import describe_rest_api
from tools.api.operations import list_operations, read_operation
from tools.api.pages import render_pages


class Pin(Body, frozen=True, kw_only=True):
    """A note for a pinned post."""

    note: Content


class PinView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A pinned post."""

    pinned_by: str


class PinApi:
    def pin_post(self, request: Request) -> Response[PinView]:
        """Pins a post to the author's profile."""
        raise NotImplementedError  # the tests only describe the operation and never call it


NAME, PATH = "PUT /v1/posts/{postId}/pin", "/v1/posts/{postId}/pin"
ROUTE = Route("PUT", PATH, role(USER), "pin_post", body=Pin, error_codes={"post_not_found": 404})


@pytest.fixture(scope="module")
def description() -> ApiDescription:
    """The OpenAPI description of all services' operations and of ROUTE."""
    added = read_operation("post", ROUTE, PinApi.pin_post)
    return ApiDescription(describe_rest_api([*list_operations(), added]))


def test_the_openapi_document_and_the_reference_page_contain_a_new_operation(
    description: ApiDescription,
) -> None:
    operation = description.find("PUT", "/v1/posts/some-id/pin")
    assert operation
    assert operation.content["summary"] == "Pins a post to the author's profile."
    assert {200, 404, 412, 422} & operation.responses.keys() == {200, 404, 422}
    page = render_pages(description.document.content, describe_messages())["post.md"]
    assert f"## {NAME}\n\nPins a post to the author's profile.\n" in page


def test_the_fuzz_tests_send_requests_to_a_new_operation(description: ApiDescription) -> None:
    operation = description.find("PUT", "/v1/posts/some-id/pin")
    assert operation in description.operations
    assert operation.body
    bodies = []

    @settings(
        max_examples=50,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(operation))
    def send(case: Case) -> None:
        bodies.append(case.body)

    send()
    validator = description.document.validator(operation.body)
    assert any(isinstance(body, dict) and validator.is_valid(body) for body in bodies)


def test_an_operation_without_a_smoke_request_is_detected(description: ApiDescription) -> None:
    requests = load_suites()["post"].requests
    requested = [description.find(request.method, request.path) for request in requests]
    names = {operation.name for operation in description.operations if operation.service == "post"}
    assert names - {operation.name for operation in requested if operation} == {NAME}


def test_the_generated_types_also_check_calls_of_a_new_operation(
    description: ApiDescription, tmp_path: Path
) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(description.document.content))
    generate_types(document, tmp_path / "openapi.d.ts")
    program = tmp_path / "pin.ts"
    program.write_text(
        f"""
        import type {{ paths }} from "./openapi";
        type Pin = paths["{PATH}"]["put"];
        type Body = Pin["requestBody"]["content"]["application/json"];
        type View = Pin["responses"][200]["content"]["application/json"];
        export const body: Body = {{ note: "Read this" }};
        export const name = (view: View): string => view.pinnedBy;
        // @ts-expect-error a note is a text
        export const wrong: Body = {{ note: 1 }};
        """
    )
    client = Path(shutil.copy(Path(__file__).with_name("client.ts"), tmp_path))
    assert check_types(program, client) == ""
