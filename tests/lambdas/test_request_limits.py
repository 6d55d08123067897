"""Tests rules that the requests of all services share, derived from route tables and request
models.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from typing import Any, get_args, get_origin
from unittest.mock import MagicMock

import pytest
from aws_lambda_powertools.logging import Logger
from msgspec import Struct, structs

from lambdas.common.problems import Problem
from lambdas.common.text import Email, Password
from lambdas.common.validation import Body, validate
from lambdas.common.web.access import Authenticator, from_authorizer
from lambdas.common.web.http import Request, Response
from lambdas.common.web.pagination import PageQuery
from lambdas.common.web.router import Route, Router
from lambdas.route_tables import SERVICES, route_tables
from tests.lambdas.support import NOW, FakeClock, FakeSessions, caller, problem, rest_event

INVALID_IDS = ["x" * 65, "x" * 4000, "%C3%A9", "a%20b", "a%2Fb", "%00", "a.b", "%E2%80%8B"]
INVALID_ID_VALUES = ["", " ", "x" * 65, "x" * 4000, "é", "a b", "a/b", "\0", "a\n", "\u200b"]

CLIENT_CHOSEN = {"client_message_id", "request_id"}
"""Fields with ids that clients choose. They have a maximum length, but no
required format.
"""


def _routes_with_ids() -> list[tuple[Route, str]]:
    return [
        (route, segment[1:-1])
        for table in route_tables().values()
        for route in table
        for segment in route.path.split("/")
        if segment.startswith("{") and segment[1:-1] not in route.text_parameters
    ]


@pytest.mark.parametrize(
    ("route", "name"),
    [pytest.param(r, n, id=f"{r.method} {r.path} {n}") for r, n in _routes_with_ids()],
)
def test_an_invalid_id_in_a_path_returns_404(route: Route, name: str, logger: Logger) -> None:
    def operation(_request: object) -> Response[Any]:
        raise AssertionError("the invalid id reached the operation")

    router = Router(
        [structs.replace(route, idempotent=False)],
        {route.operation: operation},
        authenticator=Authenticator(from_authorizer, FakeSessions(), FakeClock(NOW)),
        logger=logger,
        cors_origins=(),
    )
    for value in INVALID_IDS:
        segments = [
            value if segment == f"{{{name}}}" else "a" if segment.startswith("{") else segment
            for segment in route.path.split("/")
        ]
        event = rest_event(
            route.method, "/".join(segments), authorizer=caller("user", "moderator").to_context()
        )
        problem(router(event, None), 404, "not_found")


def _models(base: type[Struct]) -> Iterator[type[Struct]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _request_models() -> list[type[Struct]]:
    for service in SERVICES:
        if service != "health":
            import_module(f"lambdas.{service}.models")
    named = {f"{m.__module__}.{m.__name__}": m for base in (Body, PageQuery) for m in _models(base)}
    alias_query = import_module("lambdas.profile.models").AliasQuery
    return [*(m for name, m in named.items() if name.startswith("lambdas.")), alias_query]


def _is_id_field(field: structs.FieldInfo, model: type[Struct]) -> bool:
    if field.name in CLIENT_CHOSEN or str not in _plain_types(field.type):
        return False
    of_alias = field.name == "context" and model.__name__.startswith("Alias")
    return field.name.endswith("_id") or field.name == "reply_to" or of_alias


def _plain_types(expected: Any) -> set[Any]:
    """Returns the types in a union of annotated types."""
    arguments = get_args(expected)
    return {expected}.union(*map(_plain_types, arguments)) if arguments else {expected}


ID_FIELDS_OF_MODELS = [
    pytest.param(model, field.encode_name, id=f"{model.__name__}.{field.encode_name}")
    for model in _request_models()
    for field in structs.fields(model)
    if _is_id_field(field, model)
]


def test_this_module_tests_models_of_all_services() -> None:
    names = {parameter.id for parameter in ID_FIELDS_OF_MODELS}
    assert names >= {
        "Ask.conversationId",
        "CreateComment.parentId",
        "PostQuery.authorId",
        "ListingQuery.sellerId",
        "AliasQuery.context",
        "AliasContext.context",
        "Invite.userId",
        "SendMessage.replyTo",
        "RoomFrame.roomId",
    }


@pytest.mark.parametrize("value", INVALID_ID_VALUES, ids=ascii)
@pytest.mark.parametrize(("model", "name"), ID_FIELDS_OF_MODELS)
def test_an_invalid_id_in_a_field_returns_422(model: type[Struct], name: str, value: str) -> None:
    with pytest.raises(Problem) as raised:
        validate(model, {name: value})
    assert raised.value.status == 422
    assert name in {error.field for error in raised.value.errors}


INVISIBLE = ["\u200b\u2060", "\u3164", "\u2800", "\u00a0", "\u00ad\ufeff", "\U000e0061"]
BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SPELLINGS = ["null", "5.0", "1e1", "0x5", "05", "+5", " 5", "5_0", "", "true", "NaN", "\u0665"]


def _query_fields() -> list[Any]:
    return [
        pytest.param(model, field.encode_name, id=f"{model.__name__}.{field.encode_name}")
        for model in _request_models()
        if not issubclass(model, Body)
        for field in structs.fields(model)
        if not {str, Any} & _plain_types(field.type)
    ]


@pytest.mark.parametrize("value", SPELLINGS)
@pytest.mark.parametrize(("model", "name"), _query_fields())
def test_a_query_accepts_only_one_spelling_of_a_number_or_choice(
    model: type[Struct], name: str, value: str
) -> None:
    with pytest.raises(Problem) as raised:
        validate(model, {name: value}, from_text=True)
    assert name in {error.field for error in raised.value.errors}


def test_null_in_a_query_is_read_as_text() -> None:
    models = import_module("lambdas.catalog.models")
    assert validate(models.ListingQuery, {"q": "null"}, from_text=True).q == "null"


def _routes_with_bodies(table: Mapping[str, tuple[Route, ...]]) -> Iterator[Any]:
    for service, routes in table.items():
        for route in routes:
            if route.method in {"POST", "PUT", "PATCH"}:
                yield pytest.param(service, route, id=f"{route.method} {route.path}")


@pytest.mark.parametrize(("service", "route"), list(_routes_with_bodies(route_tables())))
def test_an_unknown_field_of_a_body_returns_422(service: str, route: Route) -> None:
    handler = import_module(f"lambdas.{service}.handler")
    (api,) = (value for name, value in vars(handler).items() if _is_api(name, value, handler))
    # The mocks accept every call of the operation.
    with_mocks = type("Mocked", (api,), {"__getattr__": lambda _self, _name: MagicMock()})
    operation = getattr(object.__new__(with_mocks), route.operation)
    event = rest_event(route.method, route.path, {"unknownField": 1})
    request = Request(event)
    request.authenticated = caller("user")
    request.path_parameters = dict.fromkeys(re.findall(r"\{(\w+)\}", route.path), "a")
    with pytest.raises(Problem) as raised:
        operation(request)
    assert raised.value.status == 422
    assert "unknownField" in {error.field for error in raised.value.errors}


def _is_api(name: str, value: Any, module: Any) -> bool:
    return name.endswith("Api") and getattr(value, "__module__", "") == module.__name__


def _text_fields(unread: Collection[str]) -> list[Any]:
    """Returns the fields for texts and lists of texts, without those in `unread`."""
    return [
        pytest.param(model, field.encode_name, id=f"{model.__name__}.{field.encode_name}")
        for model in _request_models()
        for field in structs.fields(model)
        if field.name not in unread and str in _plain_types(field.type)
    ]


UNREAD = {"cursor", "code", "key", "refresh_token", "action", "device_info", *CLIENT_CHOSEN}
"""Fields for texts that no other user reads. Most are compared with stored texts."""

KEYS = {"images", "attachments"}
"""Fields for lists of upload keys. The services compare them with the caller's uploads."""


def _rejects(model: type[Struct], name: str, text: str) -> bool:
    """Returns True if a model rejects a text in a field. A list contains only this text."""
    (field,) = (f for f in structs.fields(model) if f.encode_name == name)
    is_list = any(get_origin(type_) in {list, tuple} for type_ in _plain_types(field.type))
    with pytest.raises(Problem) as raised:
        # The unknown field ensures that `validate` raises.
        validate(model, {name: [text] if is_list else text, "unknownField": 1})
    return (f"{name}.0" if is_list else name) in {error.field for error in raised.value.errors}


@pytest.mark.parametrize(("model", "name"), _text_fields({*UNREAD, *KEYS}))
def test_an_invisible_text_is_rejected(model: type[Struct], name: str) -> None:
    assert [text for text in INVISIBLE if not _rejects(model, name, text)] == []


NAMES = {
    *("name", "displayName", "title", "fileName", "location", "condition"),
    *("tag", "tags", "interests", "category", "q", "targetLanguage"),
}
"""Fields for single-line texts that clients show on the same line as other texts."""


@pytest.mark.parametrize(
    ("model", "name"), [field for field in _text_fields(()) if field.values[1] in NAMES]
)
def test_a_name_with_a_bidirectional_override_is_rejected(model: type[Struct], name: str) -> None:
    assert [c for c in BIDIRECTIONAL if not _rejects(model, name, f"exe.{c}gpj")] == []


# Cursors and actions need no limit, because they must equal a signed value or the name of an
# action.
@pytest.mark.parametrize(("model", "name"), _text_fields({"cursor", "action"}))
def test_every_text_has_a_maximum_length(model: type[Struct], name: str) -> None:
    assert _rejects(model, name, "x" * 20_001)


def test_all_passwords_and_email_addresses_are_normalized() -> None:
    types = {
        f"{model.__name__}.{field.name}": _plain_types(field.type)
        for model in _request_models()
        for field in structs.fields(model)
        if field.name == "email" or "password" in field.name
    }
    types.pop("Notifications.email")  # `email` is a preference here, not an address
    assert {name.partition(".")[0] for name in types} >= {"Register", "Login", "ChangePassword"}
    for name, field_types in types.items():
        normal = Email if name.endswith("email") else Password
        assert any(isinstance(t, type) and issubclass(t, normal) for t in field_types), name
