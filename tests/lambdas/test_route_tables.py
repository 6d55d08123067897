"""Compares the declarations in the route tables with the behavior of the operations."""

import re
from importlib import import_module
from typing import Any, get_origin
from unittest.mock import MagicMock

import pytest
from msgspec import Struct

from lambdas.common.web.access import AUTHENTICATED, PUBLIC
from lambdas.common.web.http import Request
from lambdas.common.web.pagination import Page, PageQuery
from lambdas.common.web.router import Route
from lambdas.route_tables import route_tables
from tests.lambdas.support import caller, rest_event
from tools.api.operations import list_operations

ROUTES = [
    pytest.param(service, route, id=f"{route.method} {route.path}")
    for service, routes in route_tables().items()
    for route in routes
    if service != "health"
]


class _Collaborator:
    """Accepts every call. Each result can be unpacked as a page: items and the next position."""

    def __getattr__(self, name: str) -> Any:
        result = MagicMock()
        result.__iter__.side_effect = lambda: iter((MagicMock(), MagicMock()))
        return lambda *_, **__: result


@pytest.mark.parametrize(("service", "route"), ROUTES)
def test_an_operation_validates_the_models_that_its_route_declares(
    service: str, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"lambdas.{service}.handler")
    bodies: list[type[Struct]] = []
    queries: list[type[Struct]] = []
    conditions: list[Request] = []

    def validate(model: type[Struct], values: object, *, from_text: bool = False) -> MagicMock:
        (queries if from_text else bodies).append(model)
        return MagicMock()

    monkeypatch.setattr(module, "validate", validate)
    if_match = MagicMock(of=conditions.append)
    monkeypatch.setattr(module, "IfMatch", if_match, raising=False)
    for name in ("create_conversation_view", "create_summary_view"):
        monkeypatch.setattr(module, name, MagicMock(), raising=False)
    (api,) = (
        value
        for name, value in vars(module).items()
        if name.endswith("Api") and value.__module__ == module.__name__
    )
    mocked = type("Mocked", (api,), {"__getattr__": lambda _self, _name: _Collaborator()})
    request = Request(rest_event(route.method, route.path))
    request.authenticated = caller("user")
    request.path_parameters = dict.fromkeys(re.findall(r"\{(\w+)\}", route.path), "a")
    response = getattr(object.__new__(mocked), route.operation)(request)

    assert bodies == ([route.body] if route.body else [])
    assert queries == ([route.query] if route.query else [])
    assert bool(conditions) == route.conditional
    assert response.status == route.status


CREATES_NOTHING = {
    *("logout", "change_password", "join_room", "summarize", "translate", "moderate"),
    # The operations for uploads and tickets store nothing that a repetition could duplicate: each
    # request returns another token or signature.
    *("create_upload", "create_avatar_upload", "create_attachment_upload", "issue_ticket"),
}
"""The operations of authenticated POST routes that ignore Idempotency-Key."""


def test_every_authenticated_post_that_creates_something_accepts_an_idempotency_key() -> None:
    posts = [
        route
        for routes in route_tables().values()
        for route in routes
        if route.method == "POST" and not route.access.public
    ]
    ignoring = {route.operation for route in posts if not route.idempotent}
    assert ignoring == CREATES_NOTHING


def test_every_list_accepts_limit_and_cursor() -> None:
    lists = {
        operation.route.operation: operation.route.query
        for operation in list_operations()
        if get_origin(operation.response.body) is Page
    }
    # The category tree changes only with a migration, and fits on one page.
    assert lists.pop("list_categories") is None
    assert {"list_sessions", "list_posts", "list_messages"} <= lists.keys()
    assert [name for name, query in lists.items() if not issubclass(query or int, PageQuery)] == []


def test_the_documented_statuses_follow_from_the_declaration_of_the_route() -> None:
    always = {400, 403, 413, 429, 503}
    assert Route("GET", "/v1/x", PUBLIC, "x").statuses == {200, *always}
    assert Route("DELETE", "/v1/x/{xId}", AUTHENTICATED, "x", 204).statuses == {
        204,
        401,
        404,
        *always,
    }
    route = Route(
        "POST", "/v1/x", AUTHENTICATED, "x", 201, Struct, idempotent=True, conditional=True
    )
    assert route.statuses == {201, 401, 409, 412, 415, 422, *always}
    assert Route(
        "GET", "/v1/x", PUBLIC, "x", query=Struct, error_codes={"x_missing": 404}
    ).statuses == {
        200,
        404,
        422,
        *always,
    }
