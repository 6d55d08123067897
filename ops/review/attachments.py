"""Finds the managed policies that a change attaches, and the dangerous ones among them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.permissions.actions import is_service_wide
from ops.review.context import Context
from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import UNKNOWN
from ops.terraform.policies import compare

POLICIES_FILE = Path(__file__).with_name("managed_policies.json")
"""JSON file with AWS's managed policies. States which of them are broad, and why."""
PERMISSIONS = "can change permissions"
SERVICES = "allows all actions of a service"
ATTRIBUTES = ("policy_arn", "policy_arns", "managed_policy_arn", "managed_policy_arns")
TARGETS = ("role", "roles", "user", "users", "group", "groups", "role_name", "user_name",
    "group_name", "permission_set_arn", "principal_arn", "instance_arn")  # fmt: skip
BROAD = re.compile(r"Admin|FullAccess|PowerUser")
"""Matches names of policies that are considered broad if their content is unknown."""


def attached_permissions(change: Change, context: Context) -> Iterator[str]:
    """Yields attached policies that can change permissions or allow all actions of a service."""
    for arn in _attached(change):
        reason = _breadth(arn, context)
        if reason:
            yield f"{arn} {reason}"


def attached_policies(change: Change, context: Context) -> Iterator[str]:
    """Yields the remaining attached policies, which `attached_permissions` omits."""
    for arn in _attached(change):
        if not _breadth(arn, context):
            yield str(arn)


def broad_boundary(change: Change, context: Context) -> Iterator[str]:
    """Yields the new permissions boundary if it is broad and replaces another boundary."""
    old, new = (values.get("permissions_boundary") for values in (change.before, change.after))
    if old and old != new and (reason := _breadth(new, context)):
        yield f"{new} {reason}"


def _attached(change: Change) -> Iterator[Any]:
    """Yields the ARN of each attached policy, or UNKNOWN if the apply creates the policy."""
    before = {} if change.action is Action.CREATE else change.before
    moved = any(_gained(before.get(name), change.after.get(name)) for name in TARGETS)
    for name in ATTRIBUTES:
        old, new = before.get(name), change.after.get(name)
        for arn in _items(new):
            if moved or arn is UNKNOWN or arn not in _items(old):
                yield arn


def _gained(before: Any, after: Any) -> bool:
    return any(item not in _items(before) for item in _items(after))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def _breadth(arn: Any, context: Context) -> str:
    """Returns why attaching the policy is dangerous, or an empty string if it is not."""
    if not isinstance(arn, str):
        return ""
    name = arn.rpartition("/")[2]
    if ":iam::aws:policy/" in arn:
        known = managed_policies()["policies"].get(name)
        if known or name in managed_policies()["others"]:
            return str(known or "")
    elif arn in context.policies:
        return breadth_of_document(context.policies[arn]) or ""
    return "has the name of a broad policy" if BROAD.search(name) else ""


@functools.cache
def managed_policies() -> Mapping[str, Any]:
    """Returns the AWS managed policies in POLICIES_FILE.

    `policies` maps the name of each broad policy to the reason why it is broad. `others` contains
    the names of the other policies.
    """
    document: dict[str, Any] = json.loads(POLICIES_FILE.read_text(encoding="utf-8"))
    return {**document, "others": frozenset(document["others"])}


def breadth_of_document(document: Any) -> str | None:
    """Returns why a policy document is broad, or None if it is not."""
    wider = compare(None, document).wider
    if any(grant.gives_permissions for grant in wider):
        return PERMISSIONS
    if any(is_service_wide(item) for grant in wider for item in grant.statement.patterns):
        return SERVICES
    return None
