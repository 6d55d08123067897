"""Tests that the descriptions of the API are current, valid and complete."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest
from openapi_spec_validator import validate as validate_openapi

from environments.model import NotificationEvent
from lambdas.bus_events import EVENTS
from lambdas.chat.models import FRAMES
from lambdas.common.validation import validate
from modules.api.errors import GATEWAY_ERRORS
from ops.root import PROJECT
from tests.tools.api.programs import run_node
from tools.api import documents
from tools.api.asyncapi import describe_events_for_registry, describe_messages
from tools.api.openapi import describe_rest_api
from tools.api.operations import list_operations

OPERATIONS = list(list_operations())
REGISTRY = describe_events_for_registry()
MESSAGES = describe_messages()
NAMES = [f"{operation.service}_{operation.route.operation}" for operation in OPERATIONS]


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return describe_rest_api()


def operation_of(openapi: dict[str, Any], name: str) -> dict[str, Any]:
    (operation,) = (
        operation
        for methods in openapi["paths"].values()
        for operation in methods.values()
        if operation["operationId"] == name
    )
    return dict(operation)


def test_the_files_in_docs_match_the_code() -> None:
    assert documents.find_stale() == [], "run: ops api"


def test_breaking_changes_since_the_last_release_are_declared() -> None:
    undeclared, obsolete = documents.find_undeclared_changes()
    assert undeclared == [], f"list each in docs/api/{documents.DECLARED}"
    assert obsolete == [], f"remove each from docs/api/{documents.DECLARED}"


def test_generation_takes_less_than_two_seconds_of_cpu_time() -> None:
    started = time.process_time()
    documents.generate_documents()
    assert time.process_time() - started < 2


def test_the_openapi_document_is_valid(openapi: dict[str, Any]) -> None:
    validate_openapi(openapi)


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_has_a_summary_and_declares_its_response(
    openapi: dict[str, Any], name: str
) -> None:
    operation = operation_of(openapi, name)
    assert operation["summary"].endswith(".")
    assert "`" not in operation["summary"], "a summary is plain text"
    (success,) = (status for status in operation["responses"] if status < "4")
    has_body = "content" in operation["responses"][success]
    assert has_body == (success in {"200", "201"}) or name in {
        "catalog_contact_seller",
        "auth_logout",
    }


@pytest.mark.parametrize(
    ("operation", "name"), list(zip(OPERATIONS, NAMES, strict=True)), ids=NAMES
)
def test_the_examples_are_valid(openapi: dict[str, Any], operation: Any, name: str) -> None:
    described = operation_of(openapi, name)
    if operation.route.body:
        content = described["requestBody"]["content"]["application/json"]
        validate(operation.route.body, content["example"])
    if operation.response.body:
        content = described["responses"][str(operation.route.status)]["content"]
        msgspec.convert(content["application/json"]["example"], operation.response.body)
    if operation.route.query:
        examples = {
            parameter["name"]: str(parameter["schema"]["examples"][0])
            for parameter in described["parameters"]
            if parameter.get("in") == "query" and "examples" in parameter["schema"]
        }
        required = {p["name"]: "chat_room" for p in described["parameters"] if p.get("required")}
        known = {f.encode_name for f in msgspec.structs.fields(operation.route.query)}
        values = {name: v for name, v in (required | examples).items() if name in known}
        validate(operation.route.query, values, from_text=True)


def test_all_response_fields_that_are_always_present_are_required(
    openapi: dict[str, Any],
) -> None:
    """A field with a default would be optional for clients, although it is always present."""
    schemas = openapi["components"]["schemas"]

    def with_nested(names: set[str]) -> set[str]:
        more = set(re.findall(r"schemas/(\w+)", json.dumps([schemas[name] for name in names])))
        return names if more <= names else with_nested(names | more)

    sent = with_nested({o.route.body.__name__ for o in OPERATIONS if o.route.body})
    missing = {
        field
        for name in schemas.keys() - sent
        for field in schemas[name].get("properties", {}).keys()
        - {*schemas[name].get("required", ())}
    }
    assert missing == {"authorId", "aliasId", "correlationId", "reconnectSeconds"}


def test_parameters_have_formats_and_limits(openapi: dict[str, Any]) -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for parameter in operation_of(openapi, "catalog_search_listings")["parameters"]
        if "name" in parameter
    }
    assert parameters["limit"].items() >= {"minimum": 1, "maximum": 100, "default": 20}.items()
    assert parameters["sort"]["enum"] == ["-price", "newest", "price", "relevance"]
    assert parameters["q"]["maxLength"] == 200
    assert openapi["components"]["schemas"]["Id"]["pattern"] == "^[A-Za-z0-9_-]{1,64}$"


def test_operations_describe_their_access_rules_headers_and_error_codes(
    openapi: dict[str, Any],
) -> None:
    post = operation_of(openapi, "post_update_post")
    assert post["security"] == [{"user": ["user"]}, {"anonymous": ["post_anonymous"]}]
    assert {"$ref": "#/components/parameters/IfMatch"} in post["parameters"]
    assert "ETag" in post["responses"]["200"]["headers"]
    codes = "404.not_found.post_not_found"
    assert post["responses"]["404"] == {"$ref": f"#/components/responses/{codes}"}
    assert operation_of(openapi, "auth_login")["security"] == []
    assert operation_of(openapi, "auth_change_password")["security"] == [{"user": ["user"]}]
    created = operation_of(openapi, "post_create_post")
    assert {"$ref": "#/components/parameters/IdempotencyKey"} in created["parameters"]
    limited = openapi["components"]["responses"]["429.too_many_requests"]
    assert limited["headers"].keys() == {"X-Correlation-Id", "Retry-After"}


def test_the_codes_of_gateway_responses_are_described(openapi: dict[str, Any]) -> None:
    described = {
        (int(status), code)
        for name in openapi["components"]["responses"]
        for status, *codes in [name.split(".")]
        for code in codes
    }
    assert {(error.status, error.code) for error in GATEWAY_ERRORS.values()} <= described


def test_the_asyncapi_document_and_the_patterns_are_valid() -> None:
    program = PROJECT / "tools" / "api" / "check_messages.mjs"
    files = [documents.DIRECTORY / name for name in ("asyncapi.json", "openapi.json")]
    assert run_node(program, *files) == ""


def test_the_bus_has_the_events_that_subscriptions_can_select() -> None:
    described = {type_.__name__ for types in EVENTS.values() for type_ in types}
    assert described >= set(get_args(NotificationEvent))


def test_every_action_has_an_acknowledgement_and_every_event_a_message() -> None:
    for name, operation in MESSAGES["operations"].items():
        if operation["action"] == "receive":
            replies = [reply["$ref"].rpartition("/")[2] for reply in operation["reply"]["messages"]]
            assert replies == [f"{name}.ack", "error"]
    published = MESSAGES["channels"]["bus"]["messages"]
    assert len(published) == sum(map(len, EVENTS.values()))


def test_only_the_event_user_registered_contains_text_that_a_user_wrote() -> None:
    texts = {
        f"{event_type.__name__}.{field.encode_name}"
        for types in EVENTS.values()
        for event_type in types
        for field in msgspec.structs.fields(event_type)
        if field.type in (str, list[str], str | None)
    }
    names_of_fields = {"ProfileUpdated.fields", "ListingUpdated.changed"}
    assert texts == {"UserRegistered.displayName", "ListingCreated.category", *names_of_fields}


@pytest.mark.parametrize("action", FRAMES)
def test_the_example_of_a_clients_frame_is_valid(action: str) -> None:
    message = MESSAGES["channels"]["socket"]["messages"][action]
    frame = message["examples"][0]["payload"]
    assert validate(FRAMES[action], frame).action == action


@pytest.mark.parametrize("name", REGISTRY)
def test_an_event_matches_its_schema_for_the_registry(name: str) -> None:
    schema = REGISTRY[name]
    jsonschema_rs.meta.validate(schema)
    text = json.dumps(schema)
    # EventBridge limits the names and sizes of schemas.
    assert re.fullmatch(r"[0-9A-Za-z_.@-]{1,385}", name)
    assert len(text) < 100_000
    # EventBridge reads schemas as draft 4, which ignores these keywords of later drafts.
    assert not re.search(r'"(const|contains|if|propertyNames)":', text)
    validator = jsonschema_rs.Draft4Validator(schema)
    source, _, event_type = name.partition("@")
    message = MESSAGES["channels"]["bus"]["messages"][event_type]
    event: dict[str, Any] = {
        **dict.fromkeys(("version", "id", "account", "time", "region"), "text"),
        "resources": [],
        "source": source,
        "detail-type": event_type,
        "detail": message["examples"][0]["payload"],
    }
    validator.validate(event)
    event["detail"] = {}
    assert not validator.is_valid(event)


def test_the_reference_has_every_operation_type_frame_and_event(openapi: dict[str, Any]) -> None:
    pages = {
        name: set(text.splitlines())
        for name, text in documents.generate_documents().items()
        if name.startswith("reference/")
    }
    for operation in OPERATIONS:
        heading = f"## {operation.route.method} {operation.route.path}"
        assert heading in pages[f"reference/{operation.service}.md"]
    for name in openapi["components"]["schemas"]:
        assert f"## {name}" in pages["reference/types.md"]
    channels = MESSAGES["channels"]
    assert {f"## {name}" for name in channels["bus"]["messages"]} <= pages["reference/events.md"]
    frames = {f"### {name}" for name in channels["socket"]["messages"] if ".ack" not in name}
    assert frames <= pages["reference/frames.md"]


def test_the_command_fails_if_a_file_is_stale(tmp_path: Path) -> None:
    documents.write_documents(tmp_path)
    assert documents.find_stale(tmp_path) == []
    (tmp_path / "openapi.json").write_text("{}")
    (tmp_path / "events" / "old.json").write_text("{}")
    (tmp_path / "reference" / "auth.md").unlink()
    stale = ["events/old.json", "openapi.json", "reference/auth.md"]
    assert documents.find_stale(tmp_path) == stale
    documents.write_documents(tmp_path)
    assert documents.find_stale(tmp_path) == []


def test_changes_are_compared_with_the_last_released_description(tmp_path: Path) -> None:
    documents.write_documents(tmp_path)
    documents.release_documents(tmp_path)
    assert documents.find_undeclared_changes(tmp_path) == ([], [])
    document = json.loads((tmp_path / "openapi.json").read_text())
    del document["paths"]["/health"]
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    assert documents.find_undeclared_changes(tmp_path) == (["GET /health was removed"], [])
    with (tmp_path / documents.DECLARED).open("a") as file:
        file.write("\n- GET /health was removed\n- GET /v1/other was removed\n")
    assert documents.find_undeclared_changes(tmp_path) == ([], ["GET /v1/other was removed"])
