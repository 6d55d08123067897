"""Tests how the chaos suite recognizes the phases of an `ops up`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.chaos import faults
from bench.chaos.machine import Up
from ops.root import Root

PLAN = {"type": "change_summary", "changes": {"operation": "plan"}}
OUTPUTS = {"type": "outputs", "outputs": {}}
APPLY = {"type": "change_summary", "changes": {"operation": "apply"}}


@pytest.mark.parametrize(
    ("messages", "has_applied"),
    [([PLAN, OUTPUTS], False), ([PLAN, OUTPUTS, APPLY, OUTPUTS], True)],
)
def test_an_apply_is_finished_only_after_terraform_reports_the_applied_changes(
    tmp_path: Path, messages: list[dict[str, Any]], has_applied: bool
) -> None:
    root = Root(tmp_path)
    log = root.logs / "terraform.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(map(json.dumps, messages)))
    up = Up.__new__(Up)
    up.root, up.begun = root, 0.0
    assert up.has_applied() == has_applied


class FakeUp:
    """Replaces `Up`. Starts no `ops up`, but records the generation of `changes` in `applied`."""

    applied: list[int]
    changes: FakeChanges

    def __init__(self, root: Root) -> None:
        self.root = root
        self.applied.append(self.changes.generation)

    def wait_for(self, _has_begun: object) -> None:
        pass

    def children(self) -> list[Any]:
        return []

    def wait(self) -> list[str]:
        return []


class FakeChanges:
    def __init__(self) -> None:
        self.generation = 0

    def next(self) -> None:
        self.generation += 1


class FakeMachine:
    def __init__(self, root: Root) -> None:
        self.root = root

    def kill(self, *names: str) -> None:
        assert names == ("aws",)


def test_the_removal_fault_creates_resources_before_it_interrupts_their_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: Any = FakeChanges()
    FakeUp.applied, FakeUp.changes = [], changes
    monkeypatch.setattr(faults, "Up", FakeUp)
    [fault] = [item for item in faults.EVERY_FAULT if item.name == "kill the embedded AWS: removal"]
    machine: Any = FakeMachine(Root(tmp_path))
    fault.breaks(machine, changes)
    fault.breaks(machine, changes)
    # The first call of `breaks` applies generation 1, and then interrupts the apply of generation
    # 2. The second call of `breaks` interrupts the apply of generation 3.
    assert FakeUp.applied == [1, 2, 3]
