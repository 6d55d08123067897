"""What a plan takes from versions that serve, and what other hands have changed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ops.deployment.drift import OWNED, Difference, differences
from ops.errors import OperatorError
from ops.functions.versions import Functions
from ops.traffic.dependencies import refuse_removals, removals
from tests.ops.traffic.releases import FakeLambda


@pytest.fixture
def lambda_() -> FakeLambda:
    """Version 1 of auth serves; version 2 is published. Each names a table of its own in its settings."""
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
    ("kind", "actions", "before", "refused"),
    [
        ("aws_dynamodb_table", ["delete"], {"name": "auth-lambda-table-1"}, True),
        ("aws_dynamodb_table", ["delete", "create"], {"name": "auth-lambda-table-1"}, True),
        ("aws_dynamodb_table", ["create", "delete"], {"arn": "auth-lambda-table-1"}, True),
        ("aws_iam_role", ["delete"], {"name": "auth-lambda-role"}, True),
        (
            "aws_dynamodb_table",
            ["delete"],
            {"name": "auth-lambda-table-2"},
            False,
        ),  # of a version that does not serve
        ("aws_dynamodb_table", ["update"], {"name": "auth-lambda-table-1"}, False),
        ("aws_s3_object", ["delete"], {"id": "auth-lambda-table-1"}, False),
        ("aws_sns_topic", ["delete"], {"id": "ro"}, False),  # too short to be told from chance
    ],
)
def test_what_a_serving_version_names_must_stay(
    functions: Functions, kind: str, actions: list[str], before: dict[str, str], refused: bool
) -> None:
    found = list(removals({"resource_changes": [change(kind, actions, before)]}, functions))
    assert found == (
        [f"{kind}.x: version 1 of auth refers to it in its configuration"] if refused else []
    )


def test_a_version_with_a_share_of_the_traffic_serves_too(
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


def test_a_permission_goes_only_after_the_code_that_has_it(
    functions: Functions, lambda_: FakeLambda
) -> None:
    shrunk = change(
        "aws_iam_role_policy",
        ["update"],
        policy("dynamodb:GetItem", "dynamodb:Query"),
        policy("dynamodb:GetItem"),
    )
    plan = {"resource_changes": [shrunk]}
    assert list(removals(plan, functions)) == [
        "aws_iam_role_policy.x: version 1 of auth may call dynamodb:Query"
    ]
    lambda_.aliases["auth-lambda"]["version"] = (
        "2"  # the newest serves: it was written for the smaller policy
    )
    assert list(removals(plan, functions)) == []
    plan["resource_changes"].append(
        change("aws_lambda_function", ["update"], {"function_name": "auth-lambda"})
    )
    assert len(list(removals(plan, functions))) == 1  # but not with newer code in the same plan
    grown = change(
        "aws_iam_role_policy", ["update"], shrunk["change"]["after"], shrunk["change"]["before"]
    )
    assert list(removals({"resource_changes": [grown]}, functions)) == []


def drifted(
    kind: str, before: Any, after: Any, actions: tuple[str, ...] = ("update",)
) -> dict[str, Any]:
    return {
        "resource_drift": [change(kind, list(actions), before, after)],
        "configuration": {
            "root_module": {
                "resources": [{"address": f"{kind}.x", "expressions": dict.fromkeys(before)}]
            }
        },
    }


def test_a_changed_attribute_is_named_without_its_value() -> None:
    found = differences(
        drifted(
            "aws_sqs_queue", {"delay_seconds": 0, "name": "q"}, {"delay_seconds": 9, "name": "q"}
        )
    )
    assert found == [Difference("aws_sqs_queue.x", "changed", ["delay_seconds"])]


def test_a_resource_that_is_gone_is_told() -> None:
    plan = drifted("aws_sqs_queue", {"name": "q"}, None, ("delete",))
    assert differences(plan) == [Difference("aws_sqs_queue.x", "gone", [])]


@pytest.mark.parametrize(("kind", "name"), sorted(OWNED))
def test_what_releases_rotation_and_autoscaling_own_is_no_drift(kind: str, name: str) -> None:
    assert differences(drifted(kind, {name: "1"}, {name: "2"})) == []


def test_what_a_service_fills_in_is_no_drift() -> None:
    before = {"rule": [{"kind": "AES256", "key": None}], "policy": "", "tags": {"a": "b"}}
    after = {"rule": [{"kind": "AES256", "key": "made"}], "policy": "filled", "tags": {"a": "b"}}
    assert differences(drifted("aws_sqs_queue", before, after)) == []
    assert differences(
        drifted("aws_sqs_queue", before, {**after, "tags": {"a": "b", "by": "hand"}})
    )
    assert differences(
        drifted("aws_sqs_queue", before, {**after, "rule": [{"kind": "aws:kms", "key": None}]})
    )


def test_what_the_program_does_not_set_is_no_drift_but_for_access() -> None:
    opened = drifted("aws_security_group", {}, {})
    opened["resource_drift"][0]["change"] |= {
        "before": {"ingress": [{"port": 5432}], "owner_id": "1"},
        "after": {"ingress": [{"port": 5432}, {"port": 22}], "owner_id": "2"},
    }
    assert differences(opened) == [Difference("aws_security_group.x", "changed", ["ingress"])]


def test_what_an_emulated_aws_tells_wrongly_is_drift_on_a_real_one() -> None:
    plan = drifted("aws_cloudwatch_metric_alarm", {"period": 300}, {"period": 0})
    assert differences(plan, emulated=True) == []
    assert len(differences(plan)) == 1
