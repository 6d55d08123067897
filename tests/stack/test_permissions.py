"""Compares the roles with the permissions that AWS lists for managing each type of resource."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from environments import load_environment
from modules.base.naming import Names
from modules.base.policy import Statement
from modules.deployment_permissions import DeploymentPermissions, read_only
from ops.root import PROJECT
from tests.stack.authorization import allows, dependent_actions
from tests.stack.references import filled
from tests.stack.stacks import Stack
from tools.aws_schemas.__main__ import HANDLERS, TYPES, locked_package, wanted_schemas

ENVIRONMENT = "prod"
"""The environment whose stack has the most types of resource."""
DRIFT = {"read"}
REMOVAL = {"read", "delete"}
EVERYTHING = {"create", "read", "update", "delete", "list"}
Absent = set[tuple[str, str]]
"""Pairs of a schema and an action that is not allowed on its resources."""

types: Mapping[str, Mapping[str, Any]] = yaml.safe_load(TYPES.read_text())
reviewed: Sequence[Mapping[str, Any]] = yaml.safe_load(
    (TYPES.parent / "permissions.yml").read_text()
)
extract: Mapping[str, Any] = json.loads(HANDLERS.read_text())


def roles() -> dict[str, tuple[Collection[str], list[Statement]]]:
    """Returns the statements of each role, and the CloudFormation handlers that it must allow.

    Operators have the same policies as the deploy role (tools/policies.py).
    """
    environment = load_environment(ENVIRONMENT, variables={})
    permissions = DeploymentPermissions(environment, Names(environment))
    managed = [
        *permissions.functions(),
        *permissions.data(),
        *permissions.edge(),
        *permissions.network(),
    ]
    identity = permissions.identity()
    writer = [*permissions.state(write=True), *permissions.releases(), *managed]
    reader = [*permissions.state(write=False), *permissions.no_data()]
    return {
        "deploy": (EVERYTHING, [*writer, *identity]),
        "drift": (DRIFT, [*reader, *read_only([*managed, *identity])]),
        "administer": (EVERYTHING, [*writer, *permissions.administration()]),
        "remove": (REMOVAL, [*writer, *permissions.removal()]),
    }


@pytest.fixture(scope="module")
def arns(synthesized: Path) -> Mapping[str, set[str]]:
    """Returns the ARNs of the stack's resources by schema, or by type if it has no schema."""
    stack = Stack(ENVIRONMENT, synthesized / ENVIRONMENT)
    found: dict[str, set[str]] = defaultdict(set)
    for type_, entry in types.items():
        for block in stack.document["resource"].get(type_, {}).values():
            if "arn" not in entry:
                continue
            complete = all(field in {"region", "account", *block} for field in fields(entry["arn"]))
            arn = filled(stack, entry["arn" if complete else "arn_without"], block)
            for name in schemas(type_):
                found[name].add(arn)
    return found


def fields(template: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", template)


def schemas(type_: str) -> list[str]:
    return [f"AWS::{name}" for name in types[type_].get("schemas", ())] or [type_]


def needed(handlers: Collection[str]) -> Absent:
    """Returns the actions that the handlers need, with the actions that those depend on."""
    actions = {
        (name, action)
        for name, entry in extract["handlers"].items()
        for handler in handlers
        for action in entry.get(handler, ())
    } | {
        (type_, action)
        for type_, entry in types.items()
        for kind in (("read", "write") if handlers != DRIFT else ("read",))
        for action in entry.get(kind, ())
    }
    return actions | {
        (name, dependent) for name, action in actions for dependent in dependent_actions(action)
    }


def absent(role: str, statements: Sequence[Statement], arns: Mapping[str, set[str]]) -> Absent:
    """Returns the needed actions that the statements do not allow on all ARNs of a schema."""
    return {
        (name, action)
        for name, action in needed(roles()[role][0])
        if not allows(
            statements, action, [arn for arn in arns.get(name, ()) if _is_managed(role, arn)]
        )
    }


def _is_managed(role: str, arn: str) -> bool:
    """Returns True unless the deploy role must not change the ARN, a role of the workflows."""
    return role != "deploy" or not re.search(":role/platform-(deploy|drift|plan)-role-", arn)


def accepted(role: str) -> Absent:
    return {
        (f"AWS::{name}", action)
        for entry in reviewed
        if role in entry.get("roles", roles())
        for name, actions in entry["absent"].items()
        for action in actions
    }


def test_every_type_of_resource_was_reviewed() -> None:
    imported = {
        f"aws_{name}"
        for file in (PROJECT / "modules").rglob("*.py")
        for name in re.findall(
            r"^from cdktf_cdktf_provider_aws\.(\w+) import", file.read_text(), re.M
        )
    }
    # No construct creates the file with the secrets.
    assert types.keys() == imported - {"aws_provider"} | {"aws_ssm_parameter"}


def test_the_stacks_contain_exactly_the_types_that_modules_import(synthesized: Path) -> None:
    assert Stack(ENVIRONMENT, synthesized / ENVIRONMENT).document["resource"].keys() <= types.keys()


def test_the_extract_has_the_locked_version_and_all_schemas() -> None:
    """`python -m tools.aws_schemas` regenerates the extract."""
    assert extract["package"] == locked_package()
    assert extract["handlers"].keys() == wanted_schemas()


@pytest.mark.parametrize("role", roles())
def test_every_permission_is_granted_or_absent_for_a_reason(
    arns: Mapping[str, set[str]], role: str
) -> None:
    assert absent(role, roles()[role][1], arns) - accepted(role) == set()


def test_every_reason_is_still_needed(arns: Mapping[str, set[str]]) -> None:
    missing = {role: absent(role, statements, arns) for role, (_, statements) in roles().items()}
    for entry in reviewed:
        assert len(entry["reason"]) > 20
        for name, actions in entry["absent"].items():
            for action in actions:
                assert any(
                    (f"AWS::{name}", action) in missing[role]
                    for role in entry.get("roles", missing)
                ), f"{name} {action}: granted, or no longer listed by AWS: delete it"


def without(sid: str) -> Callable[[Statement], Statement | None]:
    return lambda statement: None if statement.sid == sid else statement


def renamed(sid: str, **changes: Any) -> Callable[[Statement], Statement | None]:
    return lambda statement: replace(statement, **changes) if statement.sid == sid else statement


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (
            without("TagEventSources"),
            {"lambda:TagResource", "lambda:UntagResource", "lambda:ListTags"},
        ),
        (without("EndpointNames"), {"route53:AssociateVPCWithHostedZone"}),
        # Creating has no resource-level permissions, so a statement for named resources is useless.
        (
            renamed("MakeCdn", resources=["arn:aws:cloudfront::123456789012:distribution/*"]),
            {"cloudfront:CreateDistribution", "cloudfront:CreateFunction"},
        ),
        # A request to tag resources contains no service namespace.
        (
            renamed(
                "TagTableCapacity",
                conditions={
                    "StringEquals": {"application-autoscaling:service-namespace": "dynamodb"}
                },
            ),
            {"application-autoscaling:TagResource", "application-autoscaling:UntagResource"},
        ),
        # These statements name other resources.
        (
            renamed("Tables", resources=["arn:aws:dynamodb:us-east-1:123456789012:table/other"]),
            {"dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:UpdateTimeToLive"},
        ),
    ],
)
def test_a_missing_or_ineffective_statement_is_found(
    arns: Mapping[str, set[str]],
    fault: Callable[[Statement], Statement | None],
    found: set[str],
) -> None:
    _, statements = roles()["deploy"]
    faulty = [changed for statement in statements if (changed := fault(statement))]
    lost = absent("deploy", faulty, arns) - absent("deploy", statements, arns)
    assert found <= {action for _, action in lost}
