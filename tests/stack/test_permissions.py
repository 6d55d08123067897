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
from tests.stack.references import fill_template
from tests.stack.stacks import Stack
from tools.aws_schemas.__main__ import HANDLERS, wanted_schemas
from tools.aws_schemas.registry import TYPES, locked_package

ENVIRONMENT = "prod"
"""The environment whose stack has the most types of resource."""
DRIFT_HANDLERS = {"read"}
REMOVAL_HANDLERS = {"read", "delete"}
ALL_HANDLERS = {"create", "read", "update", "delete", "list"}
Actions = set[tuple[str, str]]
"""Pairs of a CloudFormation schema (or Terraform type) and an action."""

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
        *permissions.allow_managing_functions(),
        *permissions.allow_managing_data_stores(),
        *permissions.allow_managing_edge(),
        *permissions.allow_managing_network(),
    ]
    identity = permissions.allow_managing_roles()
    writer = [*permissions.allow_state_access(write=True), *permissions.allow_releases(), *managed]
    reader = [*permissions.allow_state_access(write=False), *permissions.deny_data_access()]
    return {
        "deploy": (ALL_HANDLERS, [*writer, *identity]),
        "drift": (DRIFT_HANDLERS, [*reader, *read_only([*managed, *identity])]),
        "administer": (ALL_HANDLERS, [*writer, *permissions.allow_managing_all_roles()]),
        "remove": (REMOVAL_HANDLERS, [*writer, *permissions.allow_removing_all_roles()]),
    }


@pytest.fixture(scope="module")
def arns(synthesized: Path) -> Mapping[str, set[str]]:
    """Returns the ARNs of the stack's resources by CloudFormation type.

    The key is the Terraform type if the resource has no CloudFormation schema.
    """
    stack = Stack(ENVIRONMENT, synthesized / ENVIRONMENT)
    arns: dict[str, set[str]] = defaultdict(set)
    for type_, entry in types.items():
        for block in stack.document["resource"].get(type_, {}).values():
            if "arn" not in entry:
                continue
            complete = all(field in {"region", "account", *block} for field in fields(entry["arn"]))
            arn = fill_template(stack, entry["arn" if complete else "arn_without"], block)
            for name in schemas(type_):
                arns[name].add(arn)
    return arns


def fields(template: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", template)


def schemas(type_: str) -> list[str]:
    return [f"AWS::{name}" for name in types[type_].get("schemas", ())] or [type_]


def needed_actions(handlers: Collection[str]) -> Actions:
    """Returns the actions that the handlers need, and the actions on which these depend."""
    actions = {
        (name, action)
        for name, entry in extract["handlers"].items()
        for handler in handlers
        for action in entry.get(handler, ())
    } | {
        (type_, action)
        for type_, entry in types.items()
        for kind in (("read", "write") if handlers != DRIFT_HANDLERS else ("read",))
        for action in entry.get(kind, ())
    }
    return actions | {
        (name, dependent) for name, action in actions for dependent in dependent_actions(action)
    }


def missing_actions(
    role: str, statements: Sequence[Statement], arns: Mapping[str, set[str]]
) -> Actions:
    """Returns the actions that the role needs, but that its statements do not fully allow.

    The statements must allow an action on all ARNs of its schema.
    """
    return {
        (name, action)
        for name, action in needed_actions(roles()[role][0])
        if not allows(
            statements, action, [arn for arn in arns.get(name, ()) if _is_managed(role, arn)]
        )
    }


def _is_managed(role: str, arn: str) -> bool:
    """Returns False if the role is the deploy role, and the ARN is that of a role for GitHub
    workflows. The deploy role must not change such roles.
    """
    return role != "deploy" or not re.search(":role/platform-(deploy|drift|plan)-role-", arn)


def accepted_actions(role: str) -> Actions:
    return {
        (f"AWS::{name}", action)
        for entry in reviewed
        if role in entry.get("roles", roles())
        for name, actions in entry["absent"].items()
        for action in actions
    }


def test_every_type_of_resource_that_modules_use_is_in_types_yml() -> None:
    imported = {
        f"aws_{name}"
        for file in (PROJECT / "modules").rglob("*.py")
        for name in re.findall(
            r"^from cdktf_cdktf_provider_aws\.(\w+) import", file.read_text(), re.M
        )
    }
    # write_secrets declares the SSM parameters as JSON, so no module imports
    # the class of aws_ssm_parameter.
    assert types.keys() == imported - {"aws_provider"} | {"aws_ssm_parameter"}


def test_prods_stack_contains_only_types_that_types_yml_lists(synthesized: Path) -> None:
    assert Stack(ENVIRONMENT, synthesized / ENVIRONMENT).document["resource"].keys() <= types.keys()


def test_handlers_json_comes_from_the_locked_package_and_has_all_schemas_of_types_yml() -> None:
    """If this test fails, run `python -m tools.aws_schemas`, which writes handlers.json."""
    assert extract["package"] == locked_package()
    assert extract["handlers"].keys() == wanted_schemas()


@pytest.mark.parametrize("role", roles())
def test_every_missing_permission_has_a_reason(arns: Mapping[str, set[str]], role: str) -> None:
    assert missing_actions(role, roles()[role][1], arns) - accepted_actions(role) == set()


def test_every_reason_refers_to_a_missing_permission(arns: Mapping[str, set[str]]) -> None:
    missing = {
        role: missing_actions(role, statements, arns) for role, (_, statements) in roles().items()
    }
    for entry in reviewed:
        assert len(entry["reason"]) > 20
        for name, actions in entry["absent"].items():
            for action in actions:
                assert any(
                    (f"AWS::{name}", action) in missing[role]
                    for role in entry.get("roles", missing)
                ), (
                    f"delete {action} of {name} from permissions.yml: the roles allow it, or AWS"
                    " no longer lists it"
                )


def remove(sid: str) -> Callable[[Statement], Statement | None]:
    return lambda statement: None if statement.sid == sid else statement


def modify(sid: str, **changes: Any) -> Callable[[Statement], Statement | None]:
    return lambda statement: replace(statement, **changes) if statement.sid == sid else statement


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (
            remove("TagEventSources"),
            {"lambda:TagResource", "lambda:UntagResource", "lambda:ListTags"},
        ),
        # No CloudFormation schema lists the missing action. In the Service Authorization Reference,
        # ec2:CreateVpcEndpoint depends on it.
        (remove("EndpointNames"), {"route53:AssociateVPCWithHostedZone"}),
        # The reference lists no types of resource for these two actions, so they need a statement
        # for `*`.
        (
            modify("MakeCdn", resources=["arn:aws:cloudfront::123456789012:distribution/*"]),
            {"cloudfront:CreateDistribution", "cloudfront:CreateFunction"},
        ),
        # Requests for TagResource and UntagResource do not contain the key of the added condition.
        (
            modify(
                "TagTableCapacity",
                conditions={
                    "StringEquals": {"application-autoscaling:service-namespace": "dynamodb"}
                },
            ),
            {"application-autoscaling:TagResource", "application-autoscaling:UntagResource"},
        ),
        # The changed statement allows the actions only on another table.
        (
            modify("Tables", resources=["arn:aws:dynamodb:us-east-1:123456789012:table/other"]),
            {"dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:UpdateTimeToLive"},
        ),
    ],
)
def test_a_missing_or_ineffective_statement_is_detected(
    arns: Mapping[str, set[str]],
    fault: Callable[[Statement], Statement | None],
    found: set[str],
) -> None:
    _, statements = roles()["deploy"]
    faulty = [changed for statement in statements if (changed := fault(statement))]
    lost = missing_actions("deploy", faulty, arns) - missing_actions("deploy", statements, arns)
    assert found <= {action for _, action in lost}
