"""Tests the comparison with the reviewed findings, and that each finding is complete."""

from __future__ import annotations

from typing import Any

import pytest

from ops.root import PROJECT
from tests.stack.emulators.emulated_apply import ApplyResult, list_differences
from tests.stack.emulators.findings import DOCUMENTATION, FINDINGS, Findings, compare, list_entries

REVIEWED: Findings = {
    "errors": {"aws_xray_group": {"message": "CreateGroup"}},
    "differences": {"aws_sqs_queue.redrive_policy": {}},
}
"""A review with one finding of each kind."""


def build_result(
    errors: dict[str, set[str]] | None = None, differences: dict[str, str] | None = None
) -> ApplyResult:
    """Returns a result with the findings in REVIEWED and the given errors and differences."""
    return ApplyResult(
        errors={"aws_xray_group": {"operation error XRay: CreateGroup: 404"}, **(errors or {})},
        differences={"aws_sqs_queue.redrive_policy": "a -> b", **(differences or {})},
    )


def test_a_result_with_exactly_the_listed_findings_is_accepted() -> None:
    assert compare(build_result(), REVIEWED) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            build_result(errors={"aws_sns_topic": {"InvalidParameter"}}),
            "this error is not in findings.yml, correct its cause or add it:"
            " aws_sns_topic: InvalidParameter",
        ),
        (
            build_result(errors={"aws_xray_group": {"CreateGroup: 404", "GetGroup: 404"}}),
            "this error is not in findings.yml, correct its cause or add it:"
            " aws_xray_group: GetGroup: 404",
        ),
        (
            build_result(differences={"aws_sns_topic.policy": "aws_sns_topic.x (update): a -> b"}),
            "this difference is not in findings.yml, correct its cause or add it:"
            " aws_sns_topic.x (update): a -> b",
        ),
        (
            build_result(errors={"aws_xray_group": set()}),
            "no longer fails, delete it from errors: aws_xray_group",
        ),
        (
            ApplyResult(errors=build_result().errors),
            "no longer differs, delete it from differences: aws_sqs_queue.redrive_policy",
        ),
    ],
)
def test_each_finding_that_is_not_listed_or_no_longer_occurs_is_reported(
    changed: ApplyResult, problem: str
) -> None:
    assert compare(changed, REVIEWED) == [problem]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (
            {"actions": ["update"], "before": {"a": 1, "b": 2}, "after": {"a": 1, "b": 3}},
            {"aws_x.b"},
        ),
        # Replacing the resource makes all other attributes differ too.
        (
            {
                "actions": ["delete", "create"],
                "before": {"a": "", "b": 2},
                "after": {"a": None, "b": 3},
                "replace_paths": [["b"]],
            },
            {"aws_x.b"},
        ),
        (
            {"actions": ["update"], "before": {"a": 1}, "after": {}, "after_unknown": {"a": True}},
            {"aws_x.a"},
        ),
    ],
)
def test_a_difference_names_the_attributes_that_cause_the_change(
    change: dict[str, Any], names: set[str]
) -> None:
    item = {
        "type": "aws_x",
        "address": "aws_x.label",
        "change": {"after_unknown": {}, **change},
    }
    assert set(list_differences(item)) == names


@pytest.mark.parametrize(("name", "entry"), list(list_entries(FINDINGS)))
def test_each_finding_has_a_reason_and_the_address_of_awss_documentation(
    name: str, entry: Findings
) -> None:
    assert len(entry["reason"]) > 20, name
    assert entry["aws"].startswith(DOCUMENTATION), name


def test_each_call_that_emulators_wrongly_accept_has_a_test_in_this_repository() -> None:
    accepted = {**FINDINGS["ministack"]["accepted"], **FINDINGS["both"]["accepted"]}
    for entry in accepted.values():
        file, name = entry["tested_by"].split("::")
        assert f"def {name}(" in (PROJECT / file).read_text(), entry["tested_by"]
