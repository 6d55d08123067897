"""Finds tables, roles, networks and permissions that a plan removes while live versions use them.

A published version keeps its configuration. With gradual releases it still serves after the apply,
so every resource in its configuration must exist until a version without it has all traffic.
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
"""Attributes by which a function's configuration refers to a resource."""
SHORTEST = 6
"""Minimum length of an identifier to search for inside values. Shorter ones match by chance."""
WITHOUT_USE = frozenset(
    {
        "aws_s3_object",  # the package of a version: Lambda has its own copy
        "aws_lambda_function",
        "aws_lambda_alias",
        "aws_lambda_permission",
        "aws_lambda_provisioned_concurrency_config",
        "aws_cloudwatch_metric_alarm",
        "aws_api_gateway_deployment",
    }
)
"""Types that a function's configuration never refers to, although their names contain its name."""


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
            "Not applied, because live versions still use what the plan removes:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nFirst deploy code that no longer uses these resources, then deploy their removal"
        )


def removals(plan: Mapping[str, Any], functions: Functions) -> Iterator[str]:
    """Yields one line for each resource or permission that a live version would lose."""
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
                    yield (
                        f"{item['address']}: version {version} of {service} refers to it in its"
                        " configuration"
                    )
        role = str(functions.configuration(service, live.version).get("Role", "")).rpartition("/")[
            2
        ]
        # If the newest code is live and the plan has no newer code, the live code was written for
        # the smaller policy.
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
    """Returns the pairs of action and resource that a policy allows, with wildcards as written."""
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
