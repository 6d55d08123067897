"""Tests that a plan is rejected if it removes resources or permissions that live versions use."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ops.errors import OperatorError
from ops.functions.versions import Functions
from ops.traffic.dependencies import refuse_removals, removals
from tests.ops.traffic.releases import FakeLambda


@pytest.fixture
def lambda_() -> FakeLambda:
    """Returns a fake Lambda. Version 1 of auth is live, and version 2 is published.

    The versions refer to different tables.
    """
    return FakeLambda({"auth-lambda": {"1": b"one", "2": b"two"}})


@pytest.fixture
def functions(lambda_: FakeLambda) -> Functions:
    cloud: Any = SimpleNamespace(client=lambda _: lambda_, environment=SimpleNamespace(name="prod"))
    return Functions(cloud, {"auth": "auth-lambda"})


def change(kind: str, actions: list[str], before: Any, after: Any = None) -> dict[str, Any]:
    return {
        "address": f"{kind}.x",
        "type": kind,
        "change": {"actions": actions, "before": before, "after": after},
    }


@pytest.mark.parametrize(
    ("kind", "actions", "before", "rejected"),
    [
        ("aws_dynamodb_table", ["delete"], {"name": "auth-lambda-table-1"}, True),
        ("aws_dynamodb_table", ["delete", "create"], {"name": "auth-lambda-table-1"}, True),
        ("aws_dynamodb_table", ["create", "delete"], {"arn": "auth-lambda-table-1"}, True),
        ("aws_iam_role", ["delete"], {"name": "auth-lambda-role"}, True),
        # Only a version without traffic refers to the table auth-lambda-table-2.
        ("aws_dynamodb_table", ["delete"], {"name": "auth-lambda-table-2"}, False),
        ("aws_dynamodb_table", ["update"], {"name": "auth-lambda-table-1"}, False),
        ("aws_s3_object", ["delete"], {"id": "auth-lambda-table-1"}, False),
        # Short values occur in many texts by chance, so a part of a longer value does not count.
        ("aws_sns_topic", ["delete"], {"id": "ro"}, False),
    ],
)
def test_resource_that_the_live_version_refers_to_cannot_be_destroyed(
    functions: Functions, kind: str, actions: list[str], before: dict[str, str], rejected: bool
) -> None:
    problems = list(removals({"resource_changes": [change(kind, actions, before)]}, functions))
    assert problems == (
        [f"{kind}.x: version 1 of auth refers to it in its configuration"] if rejected else []
    )


def test_version_with_canary_traffic_counts_as_live(
    functions: Functions, lambda_: FakeLambda
) -> None:
    lambda_.aliases["auth-lambda"]["weights"] = {"2": 0.1}
    plan = {
        "resource_changes": [
            change("aws_dynamodb_table", ["delete"], {"name": "auth-lambda-table-2"})
        ]
    }
    with pytest.raises(OperatorError, match="version 2 of auth refers to it"):
        refuse_removals(plan, functions)


def policy(*actions: str) -> dict[str, str]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "arn:table"}
    return {"role": "auth-lambda-role", "policy": json.dumps({"Statement": [statement]})}


def test_permission_is_removed_only_after_the_code_that_uses_it(
    functions: Functions, lambda_: FakeLambda
) -> None:
    narrower = change(
        "aws_iam_role_policy",
        ["update"],
        policy("dynamodb:GetItem", "dynamodb:Query"),
        policy("dynamodb:GetItem"),
    )
    plan = {"resource_changes": [narrower]}
    assert list(removals(plan, functions)) == [
        "aws_iam_role_policy.x: version 1 of auth would lose the permission for dynamodb:Query"
    ]
    # The newest version is live. It does not need the removed permission, because the policies of a
    # plan belong to the newest code.
    lambda_.aliases["auth-lambda"]["version"] = "2"
    assert list(removals(plan, functions)) == []
    plan["resource_changes"].append(
        change("aws_lambda_function", ["update"], {"function_name": "auth-lambda"})
    )
    # The plan publishes a version that is newer than the live one.
    assert len(list(removals(plan, functions))) == 1
    wider = change(
        "aws_iam_role_policy", ["update"], narrower["change"]["after"], narrower["change"]["before"]
    )
    assert list(removals({"resource_changes": [wider]}, functions)) == []
