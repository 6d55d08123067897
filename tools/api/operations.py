"""Lists the operations of all services, with their routes, docstrings and response types."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_args, get_origin, get_type_hints

from lambdas.common.web.preconditions import Versioned
from lambdas.common.web.router import Route
from lambdas.route_tables import route_tables


@dataclass(frozen=True)
class DeclaredResponse:
    """The response that the return annotation of an operation declares."""

    body: Any
    """The type of the response's body. None without a body."""
    is_versioned: bool
    """True if the response has the header ETag."""


@dataclass(frozen=True)
class Operation:
    """An operation of a service, and its description from the docstring."""

    service: str
    route: Route
    summary: str
    description: str
    response: DeclaredResponse


def list_operations() -> Iterator[Operation]:
    """Yields the operations of all services in the order of their route tables."""
    for service, routes in route_tables().items():
        api = find_api(service)
        for route in routes:
            yield read_operation(service, route, getattr(api, route.operation))


def read_operation(service: str, route: Route, method: Callable[..., Any]) -> Operation:
    """Returns the operation of a route. `method` implements it."""
    summary, _, description = (inspect.getdoc(method) or "").partition("\n\n")
    return Operation(service, route, summary, " ".join(description.split()), read_response(method))


def find_api(service: str) -> type:
    """Returns the class whose methods are the operations of a service."""
    module = import_module(f"lambdas.{service}.handler")
    (api,) = (
        value
        for name, value in vars(module).items()
        if name.endswith("Api") and value.__module__ == module.__name__
    )
    assert isinstance(api, type)
    return api


def read_response(operation: Callable[..., Any]) -> DeclaredResponse:
    """Returns the response that an operation declares, as in `-> Versioned[PostView]`."""
    annotation = get_type_hints(operation)["return"]
    (body,) = get_args(annotation)
    return DeclaredResponse(
        None if body is type(None) else body, issubclass(get_origin(annotation), Versioned)
    )
