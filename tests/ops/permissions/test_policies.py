"""Tests that policies are compared by the requests that they allow."""

from __future__ import annotations

from typing import Any

import pytest

from ops.permissions import globs
from ops.permissions.actions import can_change_permissions, expand_action
from ops.terraform.policies import Comparison, can_be_changed, compare

Block = dict[str, Any]
BUCKET = "arn:aws:s3:::files"
OBJECTS = f"{BUCKET}/*"
ACCOUNT, OTHER = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"


def statement(effect: str = "Allow", **parts: Any) -> Block:
    """Returns a statement for s3:GetObject. `parts` replace or add elements."""
    whole = {"Effect": effect, "Action": "s3:GetObject", "Resource": OBJECTS, **parts}
    for name in ("Action", "Resource"):
        if f"Not{name}" in parts:
            del whole[name]
    return whole


def policy(*items: Block, version: str = "2012-10-17") -> Block:
    return {"Version": version, "Statement": list(items)}


def compared(before: Block, after: Block) -> Comparison:
    return compare(policy(before), policy(after))


def only_narrower(comparison: Comparison) -> bool:
    return bool(comparison.narrower) and not (
        comparison.wider or comparison.undenied or comparison.denied or comparison.undecided
    )


EXCEPTIONS: list[Any] = [
    pytest.param(
        {"NotAction": ["iam:*", "s3:GetObject"]},
        {"NotAction": "iam:*"},
        id="fewer excluded actions",
    ),
    pytest.param(
        {"NotAction": ["iam:*", "future:Do"]},
        {"NotAction": "iam:*"},
        id="fewer excluded actions that AWS's list lacks",
    ),
    pytest.param(
        {"NotAction": "future:Do*"},
        {"NotAction": "future:DoThis"},
        id="smaller excluded pattern that AWS's list lacks",
    ),
    pytest.param(
        {"NotResource": [OBJECTS, f"{BUCKET}-2/*"]},
        {"NotResource": OBJECTS},
        id="fewer excluded resources",
    ),
    pytest.param(
        {"NotResource": OBJECTS},
        {"NotResource": f"{BUCKET}/public/*"},
        id="smaller excluded resource",
    ),
    pytest.param(
        {"NotResource": OBJECTS}, {"NotResource": f"{BUCKET}-2/*"}, id="another excluded resource"
    ),
    pytest.param(
        {"NotResource": OBJECTS}, {"Resource": f"{BUCKET}/a"}, id="exactly the excluded resource"
    ),
    pytest.param(
        {"Resource": f"{BUCKET}-2/*"}, {"NotResource": OBJECTS}, id="Resource to NotResource"
    ),
    pytest.param(
        {"NotPrincipal": {"AWS": [ROLE, ACCOUNT]}},
        {"NotPrincipal": {"AWS": ROLE}},
        id="fewer excluded principals",
    ),
    pytest.param(
        {"NotPrincipal": {"AWS": ROLE}},
        {"NotPrincipal": {"AWS": f"{ROLE}-2"}},
        id="another excluded principal",
    ),
    pytest.param(
        {"NotPrincipal": {"AWS": ROLE}},
        {"Principal": {"AWS": ROLE}},
        id="exactly the excluded principal",
    ),
]


@pytest.mark.parametrize(("before", "after"), EXCEPTIONS)
def test_allow_statement_with_a_smaller_exception_is_wider(before: Block, after: Block) -> None:
    assert compared(statement(**before), statement(**after)).wider


@pytest.mark.parametrize(("before", "after"), EXCEPTIONS)
def test_deny_statement_with_a_larger_exception_denies_less(before: Block, after: Block) -> None:
    comparison = compared(statement("Deny", **after), statement("Deny", **before))
    assert comparison.undenied
    assert not comparison.same


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"NotResource": OBJECTS}, {"NotResource": [OBJECTS, f"{BUCKET}-2/*"]}),
        ({"NotResource": f"{BUCKET}/public/*"}, {"NotResource": OBJECTS}),
        ({"NotResource": OBJECTS}, {"Resource": f"{BUCKET}-2/*"}),
        ({"Resource": "*"}, {"NotResource": OBJECTS}),
        ({"NotAction": "iam:*"}, {"NotAction": ["iam:*", "kms:*"]}),
        ({"Principal": "*"}, {"NotPrincipal": {"AWS": ROLE}}),
        ({"NotPrincipal": {"AWS": ROLE}}, {"NotPrincipal": {"AWS": [ROLE, f"{ROLE}-2"]}}),
        ({"NotPrincipal": {"AWS": ROLE}}, {"Principal": {"Service": "events.amazonaws.com"}}),
    ],
)
def test_allow_statement_with_a_larger_exception_is_narrower(before: Block, after: Block) -> None:
    assert only_narrower(compared(statement(**before), statement(**after)))


CONDITIONS: list[Any] = [
    ("NumericLessThan", "aws:MultiFactorAuthAge", "3600", "900"),
    ("NumericLessThanEquals", "aws:MultiFactorAuthAge", "900", "900.0"),
    ("NumericGreaterThan", "s3:TlsVersion", "1.1", "1.2"),
    ("NumericNotEquals", "s3:max-keys", "5", ["5", "6"]),
    ("DateLessThan", "aws:CurrentTime", "2030-01-01T00:00:00Z", "2029-01-01T00:00:00Z"),
    ("DateGreaterThan", "aws:CurrentTime", "2029-01-01T00:00:00Z", "1893456000"),
    ("IpAddress", "aws:SourceIp", ["10.0.0.0/9", "10.128.0.0/9"], "10.0.0.0/8"),
    ("IpAddress", "aws:SourceIp", "2001:db8::/32", "2001:0db8:0000::/48"),
    ("NotIpAddress", "aws:SourceIp", "10.1.0.0/16", "10.0.0.0/8"),
    ("StringLike", "s3:prefix", "home/*", ["home/a", "home/b*"]),
    ("StringNotLike", "s3:prefix", "home/a", "home/*"),
    ("StringEqualsIgnoreCase", "aws:RequestTag/team", "Ops", "ops"),
    (
        "ArnLike",
        "aws:SourceArn",
        f"arn:aws:sns:*:{ACCOUNT}:*",
        f"arn:aws:sns:us-east-1:{ACCOUNT}:news",
    ),
    ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"], "a"),
    ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/*", "o-1/r-2/*"),
    ("Null", "aws:TokenIssueTime", ["true", "false"], "false"),
]


@pytest.mark.parametrize(("operator", "key", "larger", "smaller"), CONDITIONS)
def test_conditions_are_compared_by_the_values_that_meet_them(
    operator: str, key: str, larger: Any, smaller: Any
) -> None:
    wide = statement(Condition={operator: {key: larger}})
    narrow = statement(Condition={operator: {key: smaller}})
    assert not compared(wide, narrow).wider
    if not compared(wide, narrow).same:
        assert compared(narrow, wide).wider


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("StringEqualsIfExists", "StringEquals"),
        ("ForAllValues:StringLike", "ForAllValues:StringEquals"),
        ("StringEqualsIgnoreCase", "StringEquals"),
        ("StringLike", "StringEquals"),
        ("StringNotEqualsIfExists", "StringNotEquals"),
        ("ArnLike", "ArnEquals"),
    ],
)
def test_stricter_operator_is_not_wider(before: str, after: str) -> None:
    key = "aws:PrincipalTag/team"
    old, new = (statement(Condition={name: {key: "Ops"}}) for name in (before, after))
    assert not compared(old, new).wider


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("StringEquals", "StringEqualsIfExists"),
        ("StringEquals", "ForAllValues:StringEquals"),
        ("StringEquals", "StringNotEquals"),
        ("StringEquals", "StringEqualsIgnoreCase"),
        ("StringNotEqualsIgnoreCase", "StringNotEquals"),
        ("ForAnyValue:StringEquals", "ForAllValues:StringEquals"),
        ("StringEquals", "FutureOperator"),
        ("FutureOperator", "FutureOperatorIfExists"),
    ],
)
def test_less_strict_or_unknown_operator_is_wider(before: str, after: str) -> None:
    key = "aws:PrincipalTag/team"
    old, new = (statement(Condition={name: {key: "Ops"}}) for name in (before, after))
    assert compared(old, new).wider


def test_conditions_on_a_key_in_two_spellings_both_apply() -> None:
    both = {"StringLike": {"aws:PrincipalTag/a": "x*", "AWS:PrincipalTag/a": "*y"}}
    one = {"StringLike": {"aws:PrincipalTag/a": "x*"}}
    assert compared(statement(Condition=both), statement(Condition=one)).wider


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"AWS": ACCOUNT}, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, id="an account"),
        pytest.param({"AWS": "*"}, "*", id="everybody"),
        pytest.param(
            {"Service": "Events.amazonaws.com"},
            {"Service": ["events.amazonaws.com"]},
            id="a service",
        ),
    ],
)
def test_equivalent_principals_are_equal(before: Any, after: Any) -> None:
    assert compared(statement(Principal=before), statement(Principal=after)).same


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"Bool": {"aws:SecureTransport": True}}, {"bool": {"AWS:SecureTransport": "True"}}),
        (
            {"IpAddress": {"aws:SourceIp": "10.0.0.1/8"}},
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        ),
        (
            {"IpAddress": {"aws:SourceIp": "2001:DB8::/32"}},
            {"IpAddress": {"aws:SourceIp": "2001:db8:0::/32"}},
        ),
        ({"NumericLessThan": {"s3:max-keys": 10}}, {"NumericLessThan": {"s3:max-keys": "10.0"}}),
        ({}, {"ForAllValues:StringLike": {"aws:TagKeys": "*"}}),
    ],
)
def test_equivalent_conditions_are_equal(before: Block, after: Block) -> None:
    assert compared(statement(Condition=before), statement(Condition=after)).same


def test_an_account_principal_covers_the_roles_of_the_account_but_not_the_reverse() -> None:
    account, role = (statement(Principal={"AWS": name}) for name in (ACCOUNT, ROLE))
    assert only_narrower(compared(account, role))
    assert compared(role, account).wider
    assert compared(statement(Principal={"AWS": OTHER}), role).wider


def test_policy_variable_is_narrower_than_a_wildcard() -> None:
    own, everybody = statement(Resource=f"{BUCKET}/${{aws:username}}/*"), statement()
    assert only_narrower(compared(everybody, own))
    assert compared(own, everybody).wider
    assert compared(
        statement(Resource=f"{BUCKET}/a${{*}}"), statement(Resource=f"{BUCKET}/a*")
    ).wider
    # Version 2008-10-17 has no variables, so the text is literal.
    assert compare(policy(own, version="2008-10-17"), policy(own)).wider


def test_pattern_does_not_match_across_the_parts_of_an_arn() -> None:
    narrow = statement(Resource=f"arn:aws:sns:us-east-1:{ACCOUNT}:news")
    assert compared(statement(Resource=f"arn:aws:s*-1:{ACCOUNT}:news"), narrow).wider
    assert not compared(statement(Resource=f"arn:aws:sns:*:{ACCOUNT}:n*"), narrow).wider


@pytest.mark.parametrize(
    "condition",
    [
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}},
        {"IpAddress": {"aws:SourceIp": [f"{first}.0.0.0/4" for first in range(0, 256, 16)]}},
        {"IpAddress": {"aws:SourceIp": "0:0::/0"}},
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}},
        {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}},
        {"StringLike": {"aws:PrincipalOrgID": "o-*"}},
        {"StringLike": {"aws:PrincipalOrgID": "*"}},
        {"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}},
        {"StringLike": {"aws:SourceVpc": ["vpc-1", "*"]}},
        {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-1"}},
        {"ForAllValues:StringLike": {"aws:PrincipalOrgPaths": "o-1/*"}},
        {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "*"}},
        {"ArnLike": {"aws:SourceArn": "*"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/reader"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}},
        {"Null": {"aws:PrincipalOrgID": "false"}},
        {"StringEquals": {"aws:UserAgent": "mine"}},
        {"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}},
    ],
)
def test_policy_stays_public_if_its_condition_restricts_no_callers(condition: Block) -> None:
    [grant] = compare(None, policy(statement(Principal="*", Condition=condition))).wider
    assert grant.public


@pytest.mark.parametrize(
    "condition",
    [
        {"IpAddress": {"aws:SourceIp": ["198.51.100.0/24", "10.0.0.0/8"]}},
        {"StringEquals": {"aws:PrincipalOrgID": ["o-1", "o-2"]}},
        {"StringEquals": {"aws:PrincipalOrgID": "${aws:ResourceOrgID}"}},
        {"StringLike": {"aws:SourceAccount": ACCOUNT}},
        {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-1/r-2/*"}},
        {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"}},
        {"ArnLike": {"aws:SourceArn": BUCKET}},
        {"StringEquals": {"aws:sourceVpce": "vpce-1"}, "Bool": {"aws:SecureTransport": "true"}},
    ],
)
def test_policy_is_not_public_if_limited_to_an_owner_or_network(condition: Block) -> None:
    [grant] = compare(None, policy(statement(Principal={"AWS": "*"}, Condition=condition))).wider
    assert not grant.public


def trust(provider: str, **conditions: Block) -> Comparison:
    action = "sts:AssumeRoleWithSAML" if "saml" in provider else "sts:AssumeRoleWithWebIdentity"
    federated = provider if provider.endswith("com") else f"arn:aws:iam::{ACCOUNT}:{provider}"
    item = {"Effect": "Allow", "Principal": {"Federated": federated}, "Action": action}
    return compare(None, policy({**item, "Condition": conditions}))


GITHUB = "oidc-provider/token.actions.githubusercontent.com"
AUDIENCE = {f"{GITHUB[14:]}:aud": "sts.amazonaws.com"}
SUBJECT = f"{GITHUB[14:]}:sub"


@pytest.mark.parametrize(
    ("provider", "conditions", "public"),
    [
        (GITHUB, {}, True),
        (GITHUB, {"StringEquals": AUDIENCE}, True),
        (GITHUB, {"StringEquals": AUDIENCE, "StringLike": {SUBJECT: "*"}}, True),
        (GITHUB, {"StringEquals": AUDIENCE, "StringLike": {SUBJECT: "repo:*"}}, True),
        (GITHUB, {"StringEquals": AUDIENCE, "StringLike": {SUBJECT: "repo:*/deploy:*"}}, True),
        (GITHUB, {"StringEquals": AUDIENCE, "StringLikeIfExists": {SUBJECT: "repo:us/*"}}, True),
        (GITHUB, {"StringEquals": AUDIENCE, "StringNotLike": {SUBJECT: "repo:us/*"}}, True),
        (GITHUB, {"StringLike": {SUBJECT: "repo:us/*"}}, True),
        (GITHUB, {"StringEquals": AUDIENCE, "StringLike": {SUBJECT: "repo:us/*"}}, False),
        (GITHUB, {"StringEquals": {**AUDIENCE, SUBJECT: "repo:us/one:environment:prod"}}, False),
        ("saml-provider/idp", {}, True),
        (
            "saml-provider/idp",
            {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
            False,
        ),
        (
            "cognito-identity.amazonaws.com",
            {"StringEquals": {"cognito-identity.amazonaws.com:aud": "pool"}},
            True,
        ),
        ("accounts.google.com", {"StringEquals": {"accounts.google.com:aud": "app"}}, True),
    ],
)
def test_federated_trust_is_public_unless_its_conditions_accept_only_some_users(
    provider: str, conditions: Block, public: bool
) -> None:
    [grant] = trust(provider, **conditions).wider
    assert grant.public is public


@pytest.mark.parametrize(
    "pattern", ["*", "*:*", "IAM:*", "iam:Put?olePolicy", "ia?:*", "Iam:pASSrOLE"]
)
def test_actions_match_in_any_case_and_with_any_wildcard(pattern: str) -> None:
    assert can_change_permissions(pattern)
    assert compare(
        policy(statement(Action=pattern)), policy(statement(Action=pattern.upper()))
    ).same


def test_wildcards_match_the_service_prefix_of_an_action() -> None:
    assert expand_action("*:*") == expand_action("*")
    assert expand_action("?am:PassRole") == expand_action("iam:PassRole")
    assert "iam:PassRole" in expand_action("*:PassRole")


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        statement("allow"),
        statement(Condition=["StringEquals"]),
        statement(Condition={"StringEquals": "aws:SourceIp"}),
        {**statement(), "NotAction": "iam:*"},
    ],
)
def test_policy_with_an_invalid_statement_cannot_be_compared(broken: Any) -> None:
    comparison = compare(policy(statement()), policy(statement(), broken))
    assert comparison.undecided
    assert not comparison.same


@pytest.mark.parametrize(
    ("items", "possible"),
    [
        ([statement(Action="kms:*", Principal={"AWS": ACCOUNT})], True),
        ([statement(Action="kms:Put*", Principal={"AWS": ROLE})], True),
        ([statement(Action="kms:Decrypt", Principal={"AWS": ROLE})], False),
        ([statement(Action="kms:*", Principal={"Service": "logs.amazonaws.com"})], False),
        (
            [
                statement(Action="kms:*", Principal={"AWS": ACCOUNT}),
                statement("Deny", Action="*", Principal="*"),
            ],
            False,
        ),
        ([], False),
    ],
)
def test_key_policy_that_nobody_can_change_is_detected(items: list[Block], possible: bool) -> None:
    assert can_be_changed(policy(*items), "kms:PutKeyPolicy") is possible


@pytest.mark.parametrize(
    ("one", "other", "disjoint"),
    [
        ("a*", "b*", True),
        ("a*", "*b", False),
        ("a?", "a", True),
        ("a/*", "a/b/*", False),
        ("a/${x}", "a/b", False),
        ("a/${x}", "b/${x}", True),
        ("", "*", False),
    ],
)
def test_disjoint_patterns_are_detected(one: str, other: str, disjoint: bool) -> None:
    assert globs.are_disjoint(globs.parse_pattern(one), globs.parse_pattern(other)) is disjoint
    assert globs.are_disjoint(globs.parse_pattern(other), globs.parse_pattern(one)) is disjoint
