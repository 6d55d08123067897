"""Tests that plans are read in any encoding, and that errors are a single line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.errors import OperatorError
from ops.terraform.plan import Action, read_plan
from ops.terraform.plan_file import is_plan_archive, read_plan_document, read_plan_file
from tests.ops.review.documents import document, item

PLAN = document(item("aws_sns_topic", "a", None, {"name": "ä"}))
PLAN_JSON = json.dumps(PLAN, ensure_ascii=False)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_plan_is_read_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(PLAN_JSON.encode(encoding))
    assert not is_plan_archive(file)
    [change] = read_plan_file(file).changes
    assert change.after == {"name": "ä"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("   \n", "is empty"),
        ("hello", "is not a plan in JSON"),
        (f"[command]terraform show\n{PLAN_JSON}", "other text before"),
        (f"{PLAN_JSON}\n::debug::exit 0", "other text after"),
        (PLAN_JSON + PLAN_JSON, "other text after"),
        (PLAN_JSON[:-40], "is cut off"),
        (PLAN_JSON[:200], "is cut off"),
        (PLAN_JSON.replace(":", "=", 1), "is not valid JSON"),
        ("[" * 100_000, "is nested too deeply|is not"),
        ("{" * 3 + "\\", "is not valid JSON"),
        (PLAN_JSON.replace('"a"', "9" * 5_000), "a number that is too large for a plan"),
    ],
)
def test_file_that_is_not_a_plan_is_rejected_with_one_line(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(OperatorError, match=message) as raised:
        read_plan_document(file)
    assert "\n" not in str(raised.value)


def test_missing_file_and_directory_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="does not exist"):
        is_plan_archive(tmp_path / "missing")
    with pytest.raises(OperatorError, match="cannot be read"):
        read_plan_file(tmp_path)


def test_file_of_terraform_plan_is_an_archive(tmp_path: Path) -> None:
    file = tmp_path / "plan.tfplan"
    file.write_bytes(b"PK\x03\x04rest")
    assert is_plan_archive(file)


CHANGED = PLAN["resource_changes"][0]


def without(block: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != name}


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        "text",
        None,
        {"format_version": "1.2", "values": {}},
        {**PLAN, "format_version": 1},
        {**PLAN, "resource_changes": {}},
        {**PLAN, "resource_changes": ["text"]},
        {**PLAN, "resource_changes": [without(CHANGED, "mode")]},
        {**PLAN, "resource_changes": [without(CHANGED, "change")]},
        {**PLAN, "resource_changes": [{**CHANGED, "change": {"actions": "create"}}]},
        {**PLAN, "resource_changes": [{**CHANGED, "change": {"actions": ["explode"]}}]},
        {**PLAN, "resource_changes": [{**CHANGED, "change": {"actions": []}}]},
        {**PLAN, "resource_changes": [{**CHANGED, "change": {"actions": ["create"], "after": 5}}]},
        {**PLAN, "output_changes": []},
        {**PLAN, "configuration": "text"},
        {**PLAN, "configuration": {"root_module": 5}},
        {**PLAN, "configuration": {"root_module": {"resources": [5]}}},
        {**PLAN, "configuration": {"root_module": {"module_calls": {"a": 5}}}},
    ],
)
def test_damaged_plan_is_rejected_with_one_line(damaged: Any) -> None:
    with pytest.raises(OperatorError) as raised:
        read_plan(damaged)
    assert "\n" not in str(raised.value)


def test_error_names_unknown_actions() -> None:
    change = {**CHANGED, "change": {"actions": ["delete", "explode"]}}
    with pytest.raises(OperatorError, match=r"\[delete, explode\] for aws_sns_topic\.a"):
        read_plan({**PLAN, "resource_changes": [change]})


@pytest.mark.parametrize("name", ["planned_values", "terraform_version"])
def test_fields_that_terraform_may_omit_are_optional(name: str) -> None:
    [change] = read_plan(without(PLAN, name)).changes
    assert change.action is Action.CREATE


def test_optional_fields_may_be_null() -> None:
    plan = {**PLAN, "resource_drift": None, "output_changes": None, "configuration": None}
    assert len(read_plan(plan).changes) == 1
