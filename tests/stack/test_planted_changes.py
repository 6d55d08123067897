"""Tests that reviews of production's plan detect planted dangerous changes, and call no harmless
change dangerous.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.review.review import Judged, review
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
    what = [*case.get("set", ()), *(key for key in ("allow", "drop") if key in case)]
    return " ".join([case.get("action", "update"), case["type"], *what])


def chosen(stack: Synthesized, case: Mapping[str, Any]) -> Resource:
    return next(
        resource
        for resource in stack.resources.values()
        if resource.type == case["type"] and resource.construct.path.startswith(case.get("at", ""))
    )


def put(block: Any, path: str, value: Any) -> None:
    """Changes the value at a path. A segment of the path may be `name=x`, and x may contain
    dots.
    """
    name, _, rest = path.partition(".")
    key: Any = name
    if name.startswith("name="):
        key = next(index for index, entry in enumerate(block) if path[5:].startswith(entry["name"]))
        rest = path[len(f"name={block[key]['name']}.") :]
    elif isinstance(block, list):
        key = int(name)
    if rest:
        put(block[key] if isinstance(block, list) else block.setdefault(key, {}), rest, value)
    elif value is None:
        del block[key]
    else:
        assert not isinstance(block, Mapping) or block.get(key) != value
        block[key] = value


def planned(block: Block, case: Mapping[str, Any]) -> Block:
    """Returns the values of a resource after the planted change."""
    after = copy.deepcopy(block)
    for path, value in case.get("set", {}).items():
        put(after, path, value)
    attribute = case.get("policy", "policy")
    if "allow" in case or "drop" in case:
        policy = json.loads(after[attribute])
        kept = [entry for entry in policy["Statement"] if entry["Sid"] != case.get("drop")]
        added = [{"Effect": "Allow", **case["allow"]}] if "allow" in case else []
        assert len(kept) + len(added) != len(policy["Statement"])
        after[attribute] = json.dumps({**policy, "Statement": [*kept, *added]})
    return after


def judged(stack: Synthesized, unchanged: Block, case: Mapping[str, Any]) -> Judged:
    resource = chosen(stack, case)
    action = case.get("action", "update")
    block = {**resource.block, **case.get("before", {})}
    before = None if action == "create" else block
    after = None if action == "destroy" else planned(block, case)
    label = f"{resource.label}_new" if action == "create" else resource.label
    change = item(resource.type, label, before, after, actions=ACTIONS[action])
    others = [
        entry for entry in unchanged["resource_changes"] if entry["address"] != change["address"]
    ]
    plan = {**unchanged, "resource_changes": [*others, change]}
    [result] = review(read_plan(plan), "prod", stack).changes
    return result


def test_there_is_a_planted_change_for_most_types(stack: Synthesized) -> None:
    assert len(CHANGES["dangerous"]) >= 60
    assert len(CHANGES["harmless"]) >= 40
    types = {resource.type for resource in stack.resources.values()}
    assert len({case["type"] for case in CHANGES["dangerous"]} & types) >= 50
    assert len(set(map(json.dumps, CHANGES["dangerous"]))) == len(CHANGES["dangerous"])


def test_review_of_many_changes_takes_less_than_a_second(stack: Synthesized) -> None:
    document = large_plan(stack)
    begun = time.process_time()
    result = review(read_plan(document), "prod", stack)
    assert time.process_time() - begun < 1
    assert len(result.changes) >= 560


@pytest.mark.parametrize("case", CHANGES["dangerous"], ids=case_id)
def test_dangerous_change_is_found(
    stack: Synthesized, unchanged: Block, case: Mapping[str, Any]
) -> None:
    result = judged(stack, unchanged, case)
    assert result.verdict >= Verdict.named(case.get("verdict", "dangerous")), result.reasons


@pytest.mark.parametrize("case", CHANGES["harmless"], ids=case_id)
def test_harmless_change_is_not_called_dangerous(
    stack: Synthesized, unchanged: Block, case: Mapping[str, Any]
) -> None:
    result = judged(stack, unchanged, case)
    assert result.verdict <= Verdict.REVIEW, result.reasons
