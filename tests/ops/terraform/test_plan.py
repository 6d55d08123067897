"""Tests plans: differences, unknown and sensitive values, renames, and the review command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.errors import OperatorError
from ops.review.renames import find_renames
from ops.review.review import review
from ops.terraform.plan import Action, read_plan
from ops.terraform.plan_values import UNKNOWN, differences
from ops.terraform.stack_document import construct_of_address
from tests.ops.review.documents import document, item


def changed_paths(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    return {item.path: (item.before, item.after) for item in differences(before, after)}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a": 1}, {"a": 1}, {}, id="no difference"),
        pytest.param({"a": ""}, {"a": None}, {}, id="null and an empty text"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, {"a.b": (1, 2)}, id="a nested attribute"),
        pytest.param({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, {"a.b": (1, 2)}, id="a nested block"),
        pytest.param(
            {"r": [{"name": "x", "p": 1}, {"name": "y", "p": 2}]},
            {"r": [{"name": "y", "p": 3}, {"name": "x", "p": 1}]},
            {"r[name=y].p": (2, 3)},
            id="named blocks in another order",
        ),
        pytest.param(
            {"r": [{"p": 1}]},
            {"r": [{"p": 1}, {"p": 2}]},
            {"r[0].p": (None, 2)},
            id="an additional block",
        ),
        pytest.param(
            {"j": '{"a": 1}'}, {"j": '{ "a": 2 }'}, {"j.a": (1, 2)}, id="JSON with other content"
        ),
        pytest.param({"j": '{"a": 1}'}, {"j": '{ "a": 1 }'}, {}, id="JSON with other whitespace"),
        pytest.param(
            {"l": ["a", "b"]}, {"l": ["a"]}, {"l": (["a", "b"], ["a"])}, id="a list of texts"
        ),
    ],
)
def test_differences_are_found_by_path(before: Any, after: Any, expected: dict[str, Any]) -> None:
    assert changed_paths(before, after) == expected


def test_sensitive_and_unknown_values_are_masked() -> None:
    entry = item(
        "aws_x",
        "a",
        {
            "password": "old-secret",
            "same": "kept-secret",
            "arn": "arn:1",
            "nested": [{"key": "inner-secret", "open": 1}],
        },
        {
            "password": "new-secret",
            "same": "kept-secret",
            "nested": [{"key": "other-secret", "open": 2}],
        },
        before_sensitive={"password": True, "same": True, "nested": [{"key": True}]},
        after_sensitive={"password": True, "same": True, "nested": [{"key": True}]},
        after_unknown={"arn": True},
    )
    [change] = read_plan(document(entry)).changes
    assert "secret" not in repr(change)
    assert {item.path for item in change.differences} == {"password", "nested.key", "nested.open"}
    assert change.unknown == ("arn",)
    assert change.after["arn"] is UNKNOWN


def test_replacement_lists_the_attributes_that_force_it() -> None:
    entry = item(
        "aws_x",
        "a",
        {"name": "a"},
        {"name": "b"},
        actions=["create", "delete"],
        replace_paths=[["name"], ["rule", 0, "key"]],
    )
    [change] = read_plan(document(entry)).changes
    assert (change.action, change.forced_by) == (Action.REPLACE, ("name", "rule.key"))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"format_version": "1.2"},
        {"format_version": "2.0", "planned_values": {}},
        document(errored=True),
    ],
)
def test_document_that_is_not_a_complete_plan_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(OperatorError):
        read_plan(wrong)


def test_construct_path_is_derived_from_the_label() -> None:
    construct = construct_of_address(
        "aws_dynamodb_table.database_ai-usage_table_5D19B3B2", {"Service": "ai"}
    )
    assert (construct.path, construct.module, construct.service) == (
        "database/ai-usage/table",
        "database",
        "ai",
    )
    assert construct_of_address("aws_sns_topic.topic").service == "topic"


def test_renames_pair_resources_with_equal_attributes() -> None:
    tables = [{"name": "a", "hash_key": "id"}, {"name": "b", "hash_key": "id"}]
    plan = read_plan(
        document(
            item("aws_dynamodb_table", "old_a", tables[0], None),
            item("aws_dynamodb_table", "old_b", tables[1], None),
            item("aws_dynamodb_table", "new_b", None, tables[1]),
            item("aws_dynamodb_table", "new_a", None, {**tables[0], "tags": {"a": "1"}}),
            item("aws_dynamodb_table", "another", None, {"name": "c", "hash_key": "id"}),
            item("aws_sns_topic", "topic", None, {"name": "a"}),
        )
    )
    assert [(rename.before, rename.after) for rename in find_renames(plan.changes)] == [
        ("aws_dynamodb_table.old_a", "aws_dynamodb_table.new_a"),
        ("aws_dynamodb_table.old_b", "aws_dynamodb_table.new_b"),
    ]


def test_lambda_permission_is_compared_as_a_policy() -> None:
    before = {
        "action": "lambda:InvokeFunction",
        "function_name": "f",
        "principal": "apigateway.amazonaws.com",
        "source_arn": "arn:a",
    }
    plan = document(
        item(
            "aws_lambda_permission",
            "auth_permission_0123ABCD",
            before,
            {**before, "principal": "*", "source_arn": ""},
        )
    )
    [judged] = review(read_plan(plan), "dev").changes
    assert {reason.rule for reason in judged.reasons} >= {"policy-public", "policy-wider"}


@pytest.mark.parametrize(
    ("fail_on", "status"),
    [(None, 0), ("irreversible", 0), ("dangerous", 3), ("review", 3), ("unknown", 2)],
)
def test_the_exit_status_depends_on_the_option_fail_on(
    tmp_path: Path, fail_on: str | None, status: int
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(
        json.dumps(
            document(
                item(
                    "aws_cloudwatch_metric_alarm", "auth_alarm_0123ABCD", {"alarm_name": "a"}, None
                )
            )
        )
    )
    options = ["--fail-on", fail_on] if fail_on else []
    result = CliRunner().invoke(
        app,
        [
            "review",
            "dev",
            "--plan",
            str(file),
            "--format",
            "json",
            "--root",
            str(tmp_path),
            *options,
        ],
    )
    assert result.exit_code == status, result.output
    if status != 2:
        result = json.loads(result.stdout)
        assert result["verdict"] == "dangerous"
        assert result["cost"]["usd"] == pytest.approx(-0.10)
        assert result["groups"][0]["changes"][0]["path"] == "auth/alarm"


def test_every_format_is_written(tmp_path: Path) -> None:
    file, out = tmp_path / "plan.json", tmp_path / "out"
    entry = item(
        "aws_s3_bucket",
        "storage_a_0123ABCD",
        {"bucket": "a|b", "tags": {"x": "<b>"}},
        {"bucket": "a|b", "tags": {"x": "`*`"}},
    )
    file.write_text(json.dumps(document(entry)))
    for format_name, expected in (
        ("text", "safe: 1 changed"),
        ("markdown", "&lt;b&gt; | '\\*'"),
        ("html", "&lt;b&gt;"),
        ("json", '"safe"'),
    ):
        arguments = [
            "review",
            "dev",
            "--plan",
            str(file),
            "--format",
            format_name,
            "--output",
            str(out),
            "--root",
            str(tmp_path),
        ]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert expected in out.read_text(), format_name
