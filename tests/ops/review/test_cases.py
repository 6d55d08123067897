"""Tests the verdicts on the changes in `cases/`, which has a file for each kind of change.

The keys of a case:

- `type`: The resource's type.
- `before` and `after`: The resource's values. A created resource has no `before`, and a destroyed
  one has no `after`.
- `actions`: The actions of the change, if they do not follow from the values.
- `verdict`: The expected verdict.
- `rule` and `without`: A rule that must be among the reasons, and rules that must not be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.review.review import ReviewedChange, review
from ops.terraform.plan import read_plan
from tests.ops.review.documents import document, item

CASES = Path(__file__).with_name("cases")


def cases() -> Iterator[Any]:
    """Yields the cases of all files."""
    for file in sorted(CASES.glob("*.yml")):
        for case in yaml.safe_load(file.read_text(encoding="utf-8")):
            yield pytest.param(case, id=f"{file.stem}: {case['name']}")


def with_text(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns the values with each policy as JSON text, as in a plan."""

    def with_json(value: Any) -> Any:
        if isinstance(value, dict) and ("Statement" in value or "rules" in value):
            return json.dumps(value)
        if isinstance(value, dict):
            return {key: with_json(part) for key, part in value.items()}
        return [with_json(part) for part in value] if isinstance(value, list) else value

    return None if values is None else {key: with_json(value) for key, value in values.items()}


def judge_case(case: Mapping[str, Any]) -> ReviewedChange:
    before, after = with_text(case.get("before")), with_text(case.get("after"))
    actions = {"actions": case["actions"]} if "actions" in case else {}
    plan = document(item(case["type"], "x", before, after, **actions))
    [result] = review(read_plan(plan), "dev").changes
    return result


@pytest.mark.parametrize("case", list(cases()))
def test_change_has_the_expected_verdict(case: dict[str, Any]) -> None:
    result = judge_case(case)
    reasons = {reason.rule for reason in result.reasons}
    assert (str(result.verdict), result.reasons) == (case["verdict"], result.reasons)
    assert case.get("rule", result.reasons[0].rule) in reasons
    assert not reasons & set(case.get("without", ()))
