"""Tests that policies are compared by meaning."""

from __future__ import annotations

from typing import Any

import pytest

from ops.permissions.actions import access_level
from ops.permissions.globs import covers, parse_pattern
from ops.terraform.plan_values import UNKNOWN
from ops.terraform.policies import Comparison, compare

TABLE = "arn:aws:dynamodb:us-east-1:1:table/posts"


def allow(action: Any, resource: Any = TABLE, **elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **elements}


def condition(operator: str, key: str, value: Any) -> dict[str, Any]:
    return {"Condition": {operator: {key: value}}}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def changed(before: dict[str, Any], after: dict[str, Any]) -> Comparison:
    return compare(policy(before), policy(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            allow(["dynamodb:GetItem", "dynamodb:PutItem"]),
            allow(["dynamodb:PutItem", "dynamodb:GetItem"]),
            id="order",
        ),
        pytest.param(
            allow("dynamodb:GetItem"), allow(["dynamodb:GetItem"], [TABLE]), id="text or list"
        ),
        pytest.param(allow("dynamodb:getitem"), allow("dynamodb:GetItem"), id="case"),
        pytest.param(allow("dynamodb:GetItem"), allow("dynamodb:GetItem", Sid="Named"), id="Sid"),
        pytest.param(
            allow("dynamodb:UntagResource"),
            allow("dynamodb:Untag*"),
            id="a wildcard for one action",
        ),
    ],
)
def test_policies_with_the_same_meaning_are_equal(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert changed(before, after).same


def test_one_statement_equals_two_with_the_same_grants() -> None:
    both = policy(allow("dynamodb:GetItem"), allow("dynamodb:PutItem"))
    assert compare(policy(allow(["dynamodb:GetItem", "dynamodb:PutItem"])), both).same


def test_wildcard_is_wider_than_one_of_its_actions() -> None:
    comparison = changed(allow("dynamodb:GetItem"), allow("dynamodb:*"))
    [grant] = comparison.wider
    assert "dynamodb:DeleteTable" in grant.actions
    assert "dynamodb:GetItem" not in grant.actions
    assert comparison.narrower == ()
    [lost] = changed(allow("dynamodb:*"), allow("dynamodb:GetItem")).narrower
    assert "dynamodb:DeleteTable" in lost.actions


def test_resource_pattern_is_wider_than_one_of_its_resources() -> None:
    [grant] = changed(
        allow("dynamodb:GetItem"), allow("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:1:table/*")
    ).wider
    assert str(grant.resource).endswith("table/*")
    assert (
        changed(
            allow("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:1:table/*"),
            allow("dynamodb:GetItem"),
        ).wider
        == ()
    )


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b/*", True),
        ("a/b", "a/*", False),
        ("a/?", "a/*", False),
        ("a/?", "a/b", True),
        ("*", "*", True),
    ],
)
def test_pattern_covers_narrower_patterns(wide: str, narrow: str, expected: bool) -> None:
    assert covers(parse_pattern(wide), parse_pattern(narrow)) is expected


@pytest.mark.parametrize(
    ("before", "after", "wider"),
    [
        pytest.param(
            {}, condition("StringEquals", "aws:SourceAccount", "1"), False, id="a condition narrows"
        ),
        pytest.param(
            condition("StringEquals", "aws:SourceAccount", "1"), {}, True, id="removal widens"
        ),
        pytest.param(
            condition("StringEquals", "aws:SourceAccount", "1"),
            condition("StringEquals", "aws:SourceAccount", ["1", "2"]),
            True,
            id="an additional value",
        ),
        pytest.param(
            condition("StringEquals", "aws:SourceAccount", ["1", "2"]),
            condition("StringEquals", "AWS:SourceAccount", "2"),
            False,
            id="one value less",
        ),
        pytest.param(
            condition("ArnLike", "aws:SourceArn", "arn:*"),
            condition("ArnLike", "aws:SourceArn", "arn:a"),
            False,
            id="a narrower pattern",
        ),
        pytest.param(
            condition("StringNotEquals", "aws:SourceVpc", ["a", "b"]),
            condition("StringNotEquals", "aws:SourceVpc", "a"),
            True,
            id="fewer exceptions",
        ),
        pytest.param(
            {"Principal": {"Service": "a"}},
            {"Principal": {"Service": ["a", "b"]}},
            True,
            id="an additional principal",
        ),
        pytest.param(
            {"Principal": "*"},
            {"Principal": {"AWS": "arn"}},
            False,
            id="from everybody to one principal",
        ),
    ],
)
def test_conditions_and_principals_are_compared(
    before: dict[str, Any], after: dict[str, Any], wider: bool
) -> None:
    assert (
        bool(changed(allow("s3:GetObject", **before), allow("s3:GetObject", **after)).wider)
        is wider
    )


@pytest.mark.parametrize(
    ("condition", "public"),
    [
        ({}, True),
        ({"StringEquals": {"aws:SourceAccount": "1"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringNotEquals": {"aws:SourceAccount": "1"}}, True),
    ],
)
def test_principal_star_is_public_unless_a_condition_restricts_it(
    condition: dict[str, Any], public: bool
) -> None:
    [grant] = compare(None, policy(allow("s3:GetObject", Principal="*", Condition=condition))).wider
    assert grant.public is public


def test_removed_denial_is_reported_separately() -> None:
    denial = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Resource": "*",
        "Principal": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    assert compare(policy(denial), policy()).undenied
    assert compare(policy(), policy(denial)).denied
    assert not compare(policy(), policy(denial)).wider


@pytest.mark.parametrize(
    ("resource", "is_wildcard"),
    [
        ("*", True),
        ("arn:aws:logs:us-east-1:123456789012:*", True),
        ("arn:aws:logs:us-east-1:123456789012:log-group:*", True),
        ("arn:aws:logs:us-east-1:123456789012:log-group:*:*", True),
        ("arn:aws:logs:us-east-1:123456789012:log-group:app:*", False),
        ("(aws_cloudwatch_log_group.app.arn, known after apply):*", False),
        ("arn:aws:logs:us-east-1:123456789012:log-group:app-*", False),
    ],
)
def test_a_resource_is_a_wildcard_if_it_has_no_name(resource: str, is_wildcard: bool) -> None:
    [grant] = compare(None, policy(allow("logs:PutLogEvents", resource))).wider
    assert grant.wildcard is is_wildcard


def test_not_action_and_not_resource_count_as_wildcards() -> None:
    [grant] = compare(
        None, policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    ).wider
    assert grant.wildcard
    assert "iam:PassRole" not in grant.actions
    assert changed(
        allow("s3:GetObject", "arn:a"),
        {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:b"},
    ).wider


def test_permissions_management_actions_are_recognized() -> None:
    assert access_level("iam:passrole") == "Permissions management"
    assert access_level("dynamodb:GetItem") == "Read"
    [grant] = compare(None, policy(allow("lambda:AddPermission", "arn:a"))).wider
    assert grant.gives_permissions


def test_unknown_action_is_kept_as_written() -> None:
    [grant] = changed(allow("s3:GetObject"), allow(["s3:GetObject", "novel:Do*"])).wider
    assert grant.actions == ("novel:Do*",)


def test_policy_that_is_known_after_apply_is_not_equal() -> None:
    assert not compare(policy(allow("s3:GetObject")), UNKNOWN).same
