"""Finds tables, roles, networks and permissions that a plan removes while live versions use them.

A published version keeps its configuration. With gradual releases, old versions still serve after
the apply, so the resources in their configuration must exist while these versions have traffic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.errors import OperatorError
from ops.functions.versions import Functions, Live

IDENTIFIERS = (
    *("arn", "id", "name", "bucket", "function_name", "group_name"),
    *("endpoint", "address", "domain_name", "url"),
)
"""Attributes by which a function's configuration may refer to a resource."""
MINIMUM_IDENTIFIER_LENGTH = 6
"""Minimum characters of an identifier that is searched inside longer values. Shorter identifiers
may be part of a value by chance, so they must equal the value.
"""
IGNORED_TYPES = frozenset(
    {
        "aws_s3_object",  # Lambda has its own copy of each version's code
        "aws_lambda_function",
        "aws_lambda_alias",
        "aws_lambda_permission",
        "aws_lambda_provisioned_concurrency_config",
        "aws_cloudwatch_metric_alarm",
        "aws_api_gateway_deployment",
    }
)
"""Resource types to ignore. Functions do not use them, but the configuration of a function may
contain their names by chance.
"""


def refuse_removals(plan: Mapping[str, Any], functions: Functions) -> None:
    """Raises an error if the plan would break versions that receive traffic.

    Args:
        plan: The output of `terraform show -json`.
        functions: The environment's functions before the apply.

    Raises:
        OperatorError: The message lists each removed resource and the version that uses it.
    """
    lines = list(removals(plan, functions))
    if lines:
        raise OperatorError(
            "Not applied, because live versions still use resources that the plan removes:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nFirst deploy code that no longer uses these resources, then deploy their removal"
        )


def removals(plan: Mapping[str, Any], functions: Functions) -> Iterator[str]:
    """Yields one line for each resource or permission that a live version would lose."""
    changes = [
        _Change(
            item["address"],
            item["type"],
            item["change"]["actions"],
            item["change"]["before"] or {},
            item["change"]["after"] or {},
        )
        for item in plan.get("resource_changes", [])
        if item.get("mode", "managed") == "managed"
    ]
    removed = [
        item for item in changes if "delete" in item.actions and item.type not in IGNORED_TYPES
    ]
    narrowed = [
        item
        for item in changes
        if item.type == "aws_iam_role_policy" and item.actions == ["update"]
    ]
    pending = {
        item.before.get("function_name")
        for item in changes
        if item.type == "aws_lambda_function" and item.actions != ["no-op"]
    }
    if removed or narrowed:
        for service, function in functions.names.items():
            live = functions.live(service)
            yield from _lost_resources(removed, functions, live)
            if function in pending or _has_newer_version(functions, live):
                yield from _lost_permissions(narrowed, functions, live)


@dataclass(frozen=True)
class _Change:
    """A planned change of a managed resource."""

    address: str
    type: str
    actions: Sequence[str]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def _lost_resources(removed: Sequence[_Change], functions: Functions, live: Live) -> Iterator[str]:
    """Yields one line for each removed resource to which a version with traffic refers."""
    for version in sorted(live.serving):
        settings = functions.configuration(live.service, version)
        used = list(_strings([settings.get(name) for name in ("Environment", "VpcConfig", "Role")]))
        for item in removed:
            if _is_named_in(item.before, used):
                yield (
                    f"{item.address}: version {version} of {live.service} refers to it in its"
                    " configuration"
                )


def _has_newer_version(functions: Functions, live: Live) -> bool:
    """Returns True unless the newest version has all traffic.

    The plan's policies have the permissions that the newest code needs. Only older versions can
    need more permissions.
    """
    newest = functions.newest(live.service)
    return newest is None or live.version != newest.number or bool(live.weights)


def _lost_permissions(
    narrowed: Sequence[_Change], functions: Functions, live: Live
) -> Iterator[str]:
    """Yields one line for each policy that would no longer allow the live version some actions."""
    role = functions.configuration(live.service, live.version).get("Role", "")
    for item in narrowed:
        if item.before.get("role") != role.rpartition("/")[2] or not item.after.get("policy"):
            continue
        lost = _grants(item.before.get("policy")) - _grants(item.after["policy"])
        if lost:
            actions = ", ".join(sorted({action for action, _ in lost}))
            yield (
                f"{item.address}: version {live.version} of {live.service} would lose the"
                f" permission for {actions}"
            )


def _is_named_in(resource: Mapping[str, Any], used: Iterable[str]) -> bool:
    identifiers = {
        value for name in IDENTIFIERS if isinstance(value := resource.get(name), str) and value
    }
    return any(
        identifier == text or (len(identifier) >= MINIMUM_IDENTIFIER_LENGTH and identifier in text)
        for identifier in identifiers
        for text in used
    )


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value


def _grants(policy: Any) -> set[tuple[str, str]]:
    """Returns the pairs of action and resource in a policy's Allow statements, as written.

    Omits statements with NotAction or NotResource, which the platform's policies do not use.
    """
    if not isinstance(policy, str):
        return set()
    statements = json.loads(policy)["Statement"]
    return {
        (action, resource)
        for statement in _listed(statements)
        if statement["Effect"] == "Allow"
        for action in _listed(statement.get("Action", []))
        for resource in _listed(statement.get("Resource", []))
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
