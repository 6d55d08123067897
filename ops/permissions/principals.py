"""Normalizes the principals of policies and compares them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ANYBODY = "*"
_ACCOUNT = re.compile(r"(?:AWS:)?(?:(\d{12})|arn:[\w-]+:iam::(\d{12}):root)")
_IDENTITY = re.compile(r"AWS:arn:[\w-]+:(?:iam|sts)::(\d{12}):(.+)")


def principals(value: Any) -> tuple[str, ...]:
    """Returns the principals of a statement in their normal form.

    Examples: `*`, `AWS:123456789012` for an account, `AWS:arn:aws:iam::...`,
    `Service:events.amazonaws.com`.
    """
    if isinstance(value, Mapping):
        names = [(str(kind), str(name)) for kind, item in value.items() for name in as_list(item)]
    else:
        names = [("AWS", str(name)) for name in as_list(value)]
    return tuple(dict.fromkeys(_normalized(kind, name) for kind, name in names))


def _normalized(kind: str, name: str) -> str:
    if kind == "AWS" and name == ANYBODY:
        # AWS documents `"*"` and `{"AWS": "*"}` as equivalent.
        return ANYBODY
    if kind == "Service":
        return f"Service:{name.lower()}"
    account = _ACCOUNT.fullmatch(name) if kind == "AWS" else None
    return f"AWS:{account[1] or account[2]}" if account else f"{kind}:{name}"


def as_list(value: Any) -> list[Any]:
    """Returns a list unchanged, None as an empty list, and another value as a list of one item."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def account_of(principal: str) -> str | None:
    """Returns the account ID of a principal in normal form, or None if it has no account."""
    match = _IDENTITY.fullmatch(principal) or _ACCOUNT.fullmatch(principal)
    return next((group for group in match.groups() if group), None) if match else None


def principal_covers(wide: str, narrow: str) -> bool:
    """Returns True if the wide principal includes the narrow one.

    An account includes its users and roles.
    """
    return wide in {ANYBODY, narrow} or (
        _ACCOUNT.fullmatch(wide) is not None and account_of(narrow) == account_of(wide)
    )


def are_distinct(one: str, other: str) -> bool:
    """Returns True if no caller can match both principals, and False if this is not certain."""
    kinds = [item.partition(":")[0] for item in (one, other)]
    if ANYBODY in kinds or one == other:
        return False
    if kinds[0] != kinds[1]:
        # A caller can be a canonical user and an AWS account at the same time.
        return "CanonicalUser" not in kinds and "Federated" not in kinds
    if kinds[0] == "Service":
        return True
    accounts = account_of(one), account_of(other)
    if None in accounts:
        return False
    if accounts[0] != accounts[1]:
        return True
    names = [_role_or_user(item) for item in (one, other)]
    return None not in names and names[0] != names[1]


def _role_or_user(principal: str) -> tuple[str, str] | None:
    """Returns `role` or `user`, and the name without its path.

    An account cannot have two roles or two users with the same name, even with different paths. The
    ARN of a role session contains the role's name without the path.
    """
    match = _IDENTITY.fullmatch(principal)
    kind, _, path = match[2].partition("/") if match else ("", "", "")
    return (kind, path.rpartition("/")[2].lower()) if kind in {"role", "user"} else None
