"""Inserts dangerous and harmless changes into prod's plan, and tests the verdict on each change."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.review.review import ReviewedChange, review
from ops.review.rules import Verdict
from ops.terraform.plan import read_plan
from ops.terraform.stack_document import Resource, Synthesized, read_synthesized
from tests.ops.review.documents import Block, item, large_plan, stack_plan

CHANGES = yaml.safe_load(Path(__file__).with_name("planted_changes.yml").read_text())
ACTIONS = {
    "update": ["update"],
    "create": ["create"],
    "destroy": ["delete"],
    "replace": ["delete", "create"],
}


@pytest.fixture(scope="module")
def stack(synthesized: Path) -> Synthesized:
    return read_synthesized(synthesized / "prod")


@pytest.fixture(scope="module")
def unchanged(stack: Synthesized) -> Block:
    return stack_plan(stack, {})


def case_id(case: Mapping[str, Any]) -> str:
    changed = [*case.get("set", ()), *(key for key in ("allow", "drop") if key in case)]
    return " ".join([case.get("action", "update"), case["type"], *changed])


def find_resource(stack: Synthesized, case: Mapping[str, Any]) -> Resource:
    return next(
        resource
        for resource in stack.resources.values()
        if resource.type == case["type"] and resource.construct.path.startswith(case.get("at", ""))
    )


def set_value(block: Any, path: str, value: Any) -> None:
    """Sets the value at a path. The value None deletes the key.

    The segment `name=x` selects the list element with the name `x`. The name may contain dots.
    """
    name, _, rest = path.partition(".")
    key: Any = name
    if name.startswith("name="):
        key = next(index for index, entry in enumerate(block) if path[5:].startswith(entry["name"]))
        rest = path[len(f"name={block[key]['name']}.") :]
    elif isinstance(block, list):
        key = int(name)
    if rest:
        set_value(block[key] if isinstance(block, list) else block.setdefault(key, {}), rest, value)
    elif value is None:
        del block[key]
    else:
        assert not isinstance(block, Mapping) or block.get(key) != value
        block[key] = value


def change_arguments(block: Block, case: Mapping[str, Any]) -> Block:
    """Returns a copy of a resource's arguments with the changes of a case."""
    after = copy.deepcopy(block)
    for path, value in case.get("set", {}).items():
        set_value(after, path, value)
    attribute = case.get("policy", "policy")
    if "allow" in case or "drop" in case:
        policy = json.loads(after[attribute])
        remaining = [entry for entry in policy["Statement"] if entry["Sid"] != case.get("drop")]
        added = [{"Effect": "Allow", **case["allow"]}] if "allow" in case else []
        assert len(remaining) + len(added) != len(policy["Statement"])
        after[attribute] = json.dumps({**policy, "Statement": [*remaining, *added]})
    return after


def review_case(stack: Synthesized, unchanged: Block, case: Mapping[str, Any]) -> ReviewedChange:
    resource = find_resource(stack, case)
    action = case.get("action", "update")
    block = {**resource.block, **case.get("before", {})}
    before = None if action == "create" else block
    after = None if action == "destroy" else change_arguments(block, case)
    label = f"{resource.label}_new" if action == "create" else resource.label
    change = item(resource.type, label, before, after, actions=ACTIONS[action])
    others = [
        entry for entry in unchanged["resource_changes"] if entry["address"] != change["address"]
    ]
    plan = {**unchanged, "resource_changes": [*others, change]}
    [result] = review(read_plan(plan), "prod", stack).changes
    return result


def test_the_planted_changes_cover_at_least_50_resource_types(stack: Synthesized) -> None:
    assert len(CHANGES["dangerous"]) >= 60
    assert len(CHANGES["harmless"]) >= 40
    types = {resource.type for resource in stack.resources.values()}
    assert len({case["type"] for case in CHANGES["dangerous"]} & types) >= 50
    assert len(set(map(json.dumps, CHANGES["dangerous"]))) == len(CHANGES["dangerous"])


def test_a_review_of_560_changes_takes_less_than_1_s_of_cpu_time(stack: Synthesized) -> None:
    document = large_plan(stack)
    begun = time.process_time()
    result = review(read_plan(document), "prod", stack)
    assert time.process_time() - begun < 1
    assert len(result.changes) >= 560


@pytest.mark.parametrize("case", CHANGES["dangerous"], ids=case_id)
def test_a_planted_dangerous_change_gets_at_least_the_expected_verdict(
    stack: Synthesized, unchanged: Block, case: Mapping[str, Any]
) -> None:
    result = review_case(stack, unchanged, case)
    assert result.verdict >= Verdict.named(case.get("verdict", "dangerous")), result.reasons


@pytest.mark.parametrize("case", CHANGES["harmless"], ids=case_id)
def test_a_harmless_change_gets_at_most_the_verdict_review(
    stack: Synthesized, unchanged: Block, case: Mapping[str, Any]
) -> None:
    result = review_case(stack, unchanged, case)
    assert result.verdict <= Verdict.REVIEW, result.reasons
