"""Finds changes in a plan that were made outside Terraform. Omits expected changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ops.terraform.addresses import parse_address

RELEASES = "releases publish versions and shift traffic"
ROTATION = "AWS rotates the secret"
AUTOSCALING = "autoscaling changes the capacity"

OWNED: Mapping[tuple[str, str], str] = {
    ("aws_lambda_alias", "function_version"): RELEASES,
    ("aws_lambda_alias", "routing_config"): RELEASES,
    ("aws_lambda_function", "code_sha256"): RELEASES,
    ("aws_lambda_function", "last_modified"): RELEASES,
    ("aws_lambda_function", "qualified_arn"): RELEASES,
    ("aws_lambda_function", "qualified_invoke_arn"): RELEASES,
    ("aws_lambda_function", "source_code_hash"): RELEASES,
    ("aws_lambda_function", "source_code_size"): RELEASES,
    ("aws_lambda_function", "version"): RELEASES,
    ("aws_rds_cluster", "master_user_secret"): ROTATION,
    ("aws_dynamodb_table", "global_secondary_index"): AUTOSCALING,
    ("aws_dynamodb_table", "read_capacity"): AUTOSCALING,
    ("aws_dynamodb_table", "write_capacity"): AUTOSCALING,
}
"""Attributes that may change outside Terraform, with the reason. Such changes are not drift."""

ACCESS = {
    ("aws_iam_role", "inline_policy"),
    ("aws_iam_role", "managed_policy_arns"),
    ("aws_s3_bucket", "policy"),
    ("aws_security_group", "egress"),
    ("aws_security_group", "ingress"),
}
"""Attributes that are compared although the stack sets them only through separate resources.

A change of these attributes outside Terraform can grant access.
"""


@dataclass(frozen=True)
class OutsideChange:
    """A resource that was changed or deleted outside Terraform since the last apply."""

    address: str
    kind: Literal["changed", "gone"]
    attributes: list[str]
    """Names of the changed attributes. Values are omitted because they may be secret."""


def outside_changes(plan: Mapping[str, Any]) -> list[OutsideChange]:
    """Returns the changes made outside Terraform that a plan (`terraform show -json`) reports."""
    configured = dict(_configured((plan.get("configuration") or {}).get("root_module") or {}))
    drift = []
    for item in plan.get("resource_drift") or []:
        if item.get("mode", "managed") != "managed":
            continue
        before, after = item["change"].get("before") or {}, item["change"].get("after") or {}
        if "delete" in item["change"]["actions"]:
            drift.append(OutsideChange(item["address"], "gone", []))
            continue
        # Compares only attributes that the stack sets. AWS may change other attributes, such as a
        # status.
        compared = configured.get(parse_address(item["address"]).configured, frozenset()) | {
            name for kind, name in ACCESS if kind == item["type"]
        }
        changed = {name for name in compared if differs(before.get(name), after.get(name))}
        unexpected = sorted(name for name in changed if (item["type"], name) not in OWNED)
        if unexpected:
            drift.append(OutsideChange(item["address"], "changed", unexpected))
    return sorted(drift, key=lambda difference: difference.address)


def _configured(module: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """Yields the address of each resource in a module, and the attributes that the stack sets."""
    for item in module.get("resources") or []:
        yield f"{path}{item['address']}", frozenset(item.get("expressions") or {})
    for name, call in (module.get("module_calls") or {}).items():
        yield from _configured(call.get("module") or {}, f"{path}module.{name}.")


def differs(before: Any, after: Any) -> bool:
    """Returns True if the current value `after` differs from the value in the state, `before`.

    If the value in the state is empty, returns False: the stack does not set the value, so AWS or
    another resource may set it.
    """
    if before in (None, "", [], {}):
        return False
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return any(
            differs(before[key], after.get(key)) if key in before else after[key] is not None
            for key in before.keys() | after.keys()
        )
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return any(differs(one, other) for one, other in zip(before, after, strict=True))
    return bool(before != after)
