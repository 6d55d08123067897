"""Generates docs/routes.md, the routes and their access rules, on standard output."""

from __future__ import annotations

from lambdas.common.caller import ROLES, USER
from lambdas.common.web.access import Access
from lambdas.common.web.router import COMMON_ERRORS, Route
from lambdas.route_tables import route_tables

INTRODUCTION = """\
# Routes and their callers

`python -m tools.routes > docs/routes.md` generates this page from the `routes.py` of each service.

- **public**: the request needs no token; a token is ignored.
- **signed in**: any valid token, including that of an anonymous user.
- **registered**: a registered user; anonymous users get 403.
- A capability such as `read`: every registered user, and anonymous users whose session has the
  capability.

In addition, the service checks rules that depend on the resource, such as its author or the members
of its room.

Each route can also return 400 (malformed), 403 (not allowed, blocked by WAF), 413 (too large), 429
(too many requests) and 503 (a dependency is unavailable). [The API contract](api/README.md#errors)
describes the errors.
"""


def caller_of(access: Access) -> str:
    """Returns the text that the page shows for a route's access rule."""
    if access.public:
        return "public"
    if access.role is not None:
        assert access.role in ROLES, access.role
        return "registered" if access.role == USER else f"role {access.role}"
    return f"`{access.capability}`" if access.capability else "signed in"


def headers_of(route: Route) -> str:
    """Returns the headers that the route accepts in addition to those of all routes."""
    accepted = {"Idempotency-Key": route.idempotent, "If-Match": route.conditional}
    return ", ".join(name for name, accepts in accepted.items() if accepts)


def document() -> str:
    """Returns the page of routes, in Markdown."""
    lines = [INTRODUCTION]
    for service, routes in route_tables().items():
        lines += [
            f"## {service}",
            "",
            "| route | callers | headers | statuses |",
            "| --- | --- | --- | --- |",
        ]
        for route in routes:
            statuses = ", ".join(map(str, sorted(route.statuses - set(COMMON_ERRORS.values()))))
            cells = (
                f"`{route.method} {route.path}`",
                caller_of(route.access),
                headers_of(route),
                statuses,
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(document(), end="")
