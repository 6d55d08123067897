"""Tests that the permissions boundary contains everything that the stack's roles may do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from environments import load_environment
from modules.base.naming import Names
from modules.base.policy import policy_document
from modules.deployment_permissions import DeploymentPermissions
from ops.terraform.policies import compare
from tests.stack.references import location, resolved
from tests.stack.stacks import Stack

ENVIRONMENTS = ("dev", "prod")


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def stack(request: pytest.FixtureRequest, synthesized: Path) -> Stack:
    return Stack(request.param, synthesized / request.param)


def permissions(stack: Stack) -> DeploymentPermissions:
    environment = load_environment(stack.environment, variables={})
    assert environment.account_id == location(stack)["account"]
    return DeploymentPermissions(environment, Names(environment))


def bounded_policies(stack: Stack) -> dict[str, str]:
    """Returns the policies of all roles with the boundary, by role name.

    References are replaced with values.
    """
    bounded = {
        role["name"]
        for role in stack.resources("aws_iam_role").values()
        if "permissions_boundary" in role
    }
    policies = [
        (resolved(stack, policy["role"]), resolved(stack, policy["policy"]))
        for policy in stack.resources("aws_iam_role_policy").values()
    ]
    assert {role for role, _ in policies} == bounded
    assert len(policies) == len(bounded)
    return dict(policies)


def test_the_boundary_contains_every_statement_of_every_bounded_role(stack: Stack) -> None:
    [policy] = stack.find("aws_iam_policy", {"name": "platform-boundary-{env}"}).values()
    for role, document in bounded_policies(stack).items():
        excess = compare(policy["policy"], document).wider
        assert not excess, (
            f"the boundary lacks permissions of {role}: {[str(grant) for grant in excess]}"
        )


def test_the_deploy_role_manages_exactly_the_stacks_bounded_roles(stack: Stack) -> None:
    identity = json.loads(policy_document(permissions(stack).allow_managing_roles()))["Statement"]
    arns = next(item for item in identity if item["Sid"] == "KeepRoles")["Resource"]
    account = location(stack)["account"]
    assert set(arns) == {f"arn:aws:iam::{account}:role/{role}" for role in bounded_policies(stack)}


def test_a_role_that_exceeds_the_boundary_is_detected(stack: Stack) -> None:
    """Removes from the boundary an action that exactly one role uses."""
    [policy] = stack.find("aws_iam_policy", {"name": "platform-boundary-{env}"}).values()
    text = policy["policy"].replace('"dynamodb:ExportTableToPointInTime",', "")
    assert text != policy["policy"]
    wider = {
        action
        for document in bounded_policies(stack).values()
        for grant in compare(text, document).wider
        for action in grant.actions
    }
    assert wider == {"dynamodb:ExportTableToPointInTime"}
