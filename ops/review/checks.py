"""Implements checks that rules.yml cannot express with its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ops.review.attachments import attached_permissions, attached_policies, broad_boundary
from ops.review.context import Context
from ops.review.expiry import deletes_more
from ops.review.network import opened, opened_to_unknown
from ops.terraform.plan import Change
from ops.terraform.plan_values import UNKNOWN
from ops.terraform.policies import can_be_changed, is_policy
from ops.terraform.provider_types import create_only_attributes

CHANGE_KEY_POLICY = "kms:PutKeyPolicy"
INDEXES = ("global_secondary_index", "local_secondary_index")
REBUILT_BY = ("hash_key", "range_key", "key_schema", "projection_type", "non_key_attributes")
"""Attributes of an index that DynamoDB cannot update. The provider recreates the index instead."""

PARENTS = ("bucket", "function_name", "resource_arn", "rest_api_id")
"""Attributes by which a resource refers to the resource that it configures, its parent."""

Check = Callable[[Change, Context], Iterator[str]]


def rebuilt_indexes(change: Change) -> Iterator[str]:
    """Yields the indexes of a table that are deleted and created again."""
    for attribute in INDEXES:
        later = {item.get("name"): item for item in _blocks(change.after, attribute)}
        for index in _blocks(change.before, attribute):
            new = later.get(index.get("name"))
            if new and (
                any(
                    _comparable(index.get(name)) != _comparable(new.get(name))
                    for name in REBUILT_BY
                )
                or _key_types(change.before, index) != _key_types(change.after, new)
            ):
                yield str(index.get("name"))


def _key_types(values: Mapping[str, Any], index: Mapping[str, Any]) -> list[Any]:
    """Returns the types of an index's key attributes. The table declares these types."""
    types = {item.get("name"): item.get("type") for item in _blocks(values, "attribute")}
    return [types.get(index.get(name)) for name in ("hash_key", "range_key")]


def _blocks(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = values.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(str, value))
    return value or None


def locked_key(change: Change) -> Iterator[str]:
    """Yields `policy` if a KMS key's new policy allows nobody to change the policy again."""
    before, after = change.before.get("policy"), change.after.get("policy")
    if before == after or not is_policy(after) or after is UNKNOWN:
        return
    if not can_be_changed(after, CHANGE_KEY_POLICY):
        yield "policy"


def changed_sensitivity(change: Change) -> Iterator[str]:
    """Yields the attributes whose sensitivity changes, as one text, if no value changes."""
    if change.sensitivity_changes and all(item.before == item.after for item in change.differences):
        yield ", ".join(item.path for item in change.differences)


def deposed(change: Change) -> Iterator[str]:
    """Yields the key of a deposed object: an old object that remains from a failed replacement."""
    if change.deposed:
        yield change.deposed


def imported(change: Change) -> Iterator[str]:
    """Yields the import identifier of a resource that is imported."""
    if change.imported:
        yield change.imported


def parent_is_new(change: Change, context: Context) -> Iterator[str]:
    """Yields the attribute that refers to the parent resource, if the plan creates the parent."""
    for attribute in PARENTS:
        if attribute in change.after and context.is_new(attribute, change.after[attribute]):
            yield attribute


def created_only(change: Change) -> Iterator[str]:
    """Yields the attributes that change in place, although AWS sets them only on creation."""
    fixed = create_only_attributes(change.type)
    changed = [*change.differences, *change.unknown_differences] if fixed else []
    yield from dict.fromkeys(
        item.path for item in changed if any(item.is_at(attribute) for attribute in fixed)
    )


def _without_context(check: Callable[[Change], Iterator[str]]) -> Check:
    """Adapts a check that needs no context to the type Check."""
    return lambda change, _: check(change)


CHECKS: Mapping[str, Check] = {
    "attached_permissions": attached_permissions,
    "attached_policies": attached_policies,
    "broad_boundary": broad_boundary,
    "created_only": _without_context(created_only),
    "deletes_more": deletes_more,
    "deposed": _without_context(deposed),
    "imported": _without_context(imported),
    "indexes": _without_context(rebuilt_indexes),
    "locked_key": _without_context(locked_key),
    "opened": _without_context(opened),
    "opened_to_unknown": _without_context(opened_to_unknown),
    "parent_is_new": parent_is_new,
    "sensitivity": _without_context(changed_sensitivity),
}
