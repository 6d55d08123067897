from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from modules.base.policy import Statement, merge_statements, policy_document, trust_policy


def documented(*statements: Statement) -> list[dict[str, Any]]:
    document = json.loads(policy_document(statements))
    assert document["Version"] == "2012-10-17"
    result: list[dict[str, Any]] = document["Statement"]
    return result


def test_a_single_value_is_written_as_a_string_as_aws_stores_it() -> None:
    [statement] = documented(
        Statement(
            sid="Read",
            actions=["s3:GetObject"],
            resources=["arn:aws:s3:::things/*"],
            principals={"Service": ["cloudfront.amazonaws.com"]},
            conditions={"StringEquals": {"aws:SourceAccount": ["111122223333"]}},
        )
    )
    assert statement == {
        "Sid": "Read",
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Resource": "arn:aws:s3:::things/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
    }


def test_several_values_are_written_as_a_list_in_order() -> None:
    [statement] = documented(Statement(sid="Use", actions=["b:Two", "a:One"], resources=["y", "x"]))
    assert (statement["Action"], statement["Resource"]) == (["b:Two", "a:One"], ["y", "x"])


def test_elements_without_a_value_are_omitted() -> None:
    [statement] = documented(Statement(sid="Bare", actions=["a:One"]))
    assert set(statement) == {"Sid", "Effect", "Action"}


def test_a_denial_of_all_principals_has_effect_deny_and_principal_star() -> None:
    [statement] = documented(
        Statement(sid="No", effect="Deny", actions=["a:*"], resources=["*"], principals="*")
    )
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")


def test_a_trust_policy_allows_one_service_with_optional_conditions() -> None:
    conditions = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    [statement] = json.loads(trust_policy("events.amazonaws.com", conditions=conditions))[
        "Statement"
    ]
    assert statement["Action"] == "sts:AssumeRole"
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == conditions
    assert "Condition" not in trust_policy("lambda.amazonaws.com")


def test_merging_statements_never_allows_more_than_the_separate_statements() -> None:
    read = Statement(sid="Use", actions=["a:Read"], resources=["x"])
    other = Statement(sid="Other", actions=["b:One"], resources=["z"])
    write = replace(read, actions=["a:Read", "a:Write"])
    assert merge_statements([read, other, write]) == [other, write]
    assert merge_statements([read, replace(read, resources=["y"])]) == [
        replace(read, resources=["x", "y"])
    ]
    for different in (
        replace(write, resources=["y"]),
        replace(read, conditions={"Bool": {"aws:SecureTransport": "true"}}),
    ):
        with pytest.raises(ValueError, match="statements with the Sid Use differ"):
            merge_statements([read, different])
