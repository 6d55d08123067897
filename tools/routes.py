"""Generates docs/routes.md, the routes and their access rules, on standard output."""

from __future__ import annotations

from lambdas.common.caller import ROLES, USER
from lambdas.common.web.access import Access
from lambdas.route_tables import route_tables

INTRODUCTION = """\
# Routes and their callers

`python -m tools.routes > docs/routes.md` generates this page from the `routes.py` of each service.

- **public**: the request needs no token; a token is ignored.
- **signed in**: any valid token, including that of an anonymous user.
- **registered**: a registered user; anonymous users get 403.
- A capability in `code`: every registered user,
  and anonymous users whose session has the capability.

Rules that depend on the resource, such as its author or the members of its room, are checked by the
service in addition.
"""


def caller_of(access: Access) -> str:
    """Returns the access rule of a route as text."""
    if access.public:
        return "public"
    if access.role is not None:
        assert access.role in ROLES, access.role
        return "registered" if access.role == USER else f"role {access.role}"
    return f"`{access.capability}`" if access.capability else "signed in"


def document() -> str:
    """Returns the page, in Markdown."""
    lines = [INTRODUCTION]
    for service, routes in route_tables().items():
        lines += [
            f"## {service}",
            "",
            "| route | callers | Idempotency-Key |",
            "| --- | --- | --- |",
        ]
        for route in routes:
            callers, repeatable = caller_of(route.access), "yes" if route.idempotent else ""
            lines.append(f"| `{route.method} {route.path}` | {callers} | {repeatable} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(document(), end="")
