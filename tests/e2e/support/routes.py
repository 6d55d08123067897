"""Requests for the routes of the route tables."""

from __future__ import annotations

import re

from lambdas.common.web.router import Route


def fill_path(route: Route) -> str:
    """Returns the route's path with a value for each parameter."""
    return re.sub(r"\{\w+\}", "some-id", route.path)


def choose_body(route: Route) -> object:
    """Returns an empty JSON object for methods with a body, otherwise None."""
    return {} if route.method in {"POST", "PUT", "PATCH"} else None
