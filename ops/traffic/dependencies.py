"""Finds what a plan would take away from versions that still serve: tables, roles, networks, permissions.

A published version keeps the settings it was born with. Where releases are gradual it serves on after the apply, so what those
settings name must stay until a version that no longer names it has all traffic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ops.errors import OperatorError
from ops.functions.versions import Functions

IDENTIFIERS = (
    "arn",
    "id",
    "name",
    "bucket",
    "function_name",
    "group_name",
    "endpoint",
    "address",
    "domain_name",
    "url",
)
"""Attributes by which settings name a resource."""
SHORTEST = 6
"""Characters of an identifier that is looked for inside a setting; a shorter one would be found by chance."""
WITHOUT_USE = frozenset(
    {
        "aws_s3_object",  # the package a version was made from: Lambda has its own copy
        "aws_lambda_function",
        "aws_lambda_alias",
        "aws_lambda_permission",
        "aws_lambda_provisioned_concurrency_config",
        "aws_cloudwatch_metric_alarm",
        "aws_api_gateway_deployment",
    }
)
"""Resource types that settings of a function never name, although they are named like it."""


def refuse_removals(plan: Mapping[str, Any], functions: Functions) -> None:
    """Refuses a plan that would break what serves.

    Args:
        plan: as `terraform show -json` has it.
        functions: the environment's, as they serve now.

    Raises:
        OperatorError: each thing that would go, who uses it, and what to do.
    """
    found = list(removals(plan, functions))
    if found:
        raise OperatorError(
            "Not applied, because versions that serve still use what the plan takes away:\n"
            + "\n".join(f"  {line}" for line in found)
            + "\nDeploy the code that no longer uses it first, without removing it; then deploy its removal"
        )


def removals(plan: Mapping[str, Any], functions: Functions) -> Iterator[str]:
    """One line for each thing that would be taken from a version that serves."""
    changes = [
        item
        for item in plan.get("resource_changes", [])
        if item.get("mode", "managed") == "managed"
    ]
    gone = [
        item
        for item in changes
        if "delete" in item["change"]["actions"] and item["type"] not in WITHOUT_USE
    ]
    shrunk = [
        item
        for item in changes
        if item["type"] == "aws_iam_role_policy" and item["change"]["actions"] == ["update"]
    ]
    pending = {
        (item["change"]["before"] or {}).get("function_name")
        for item in changes
        if item["type"] == "aws_lambda_function" and item["change"]["actions"] != ["no-op"]
    }
    if not gone and not shrunk:
        return
    for service, function in functions.names.items():
        live = functions.live(service)
        newest = functions.newest(service)
        for version in sorted(live.serving):
            settings = functions.configuration(service, version)
            used = list(
                _strings(
                    [settings.get("Environment"), settings.get("VpcConfig"), settings.get("Role")]
                )
            )
            for item in gone:
                if _names(item["change"]["before"] or {}, used):
                    yield f"{item['address']}: version {version} of {service} names it in its settings"
        role = str(functions.configuration(service, live.version).get("Role", "")).rpartition("/")[
            2
        ]
        # Code that is live and newest, with no newer code in this plan, has been written for the smaller policy.
        behind = (
            function in pending
            or newest is None
            or live.version != newest.number
            or bool(live.weights)
        )
        for item in shrunk:
            before, after = item["change"]["before"] or {}, item["change"]["after"] or {}
            lost = (
                _grants(before.get("policy")) - _grants(after.get("policy"))
                if after.get("policy")
                else set()
            )
            if behind and lost and before.get("role") == role:
                actions = ", ".join(sorted({action for action, _ in lost}))
                yield f"{item['address']}: version {live.version} of {service} may call {actions}"


def _names(resource: Mapping[str, Any], used: Iterable[str]) -> bool:
    identifiers = {
        value for name in IDENTIFIERS if isinstance(value := resource.get(name), str) and value
    }
    return any(
        identifier == text or (len(identifier) >= SHORTEST and identifier in text)
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
    """The pairs of action and resource that a policy allows, as written."""
    if not isinstance(policy, str):
        return set()
    grants = set()
    statements = json.loads(policy)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement["Effect"] != "Allow":
            continue
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for resource in [resources] if isinstance(resources, str) else resources:
                grants.add((action, resource))
    return grants
