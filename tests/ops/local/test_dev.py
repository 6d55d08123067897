"""Tests live development."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.local.dev import (
    LAMBDAS,
    Planning,
    classify_changes,
    plan_lines,
    report_syntax_errors,
    syntax_error,
)
from ops.local.platform import StartedPlatform
from ops.root import PROJECT, Root
from tests.ops.terraform.fakes import FakeTerraform


def test_saved_files_are_classified_as_functions_or_infrastructure() -> None:
    saved = [
        LAMBDAS / "auth" / "logic.py",
        PROJECT / "modules" / "auth.py",
        LAMBDAS / "chat" / ".logic.py.swp",
    ]
    changed = classify_changes(saved)
    assert (changed.functions, changed.infrastructure) == (frozenset({"auth"}), True)
    assert classify_changes([LAMBDAS / "common" / "http.py"]).functions == {"common"}
    assert not classify_changes([LAMBDAS / "auth" / "__pycache__" / "x.py"]).functions


@pytest.mark.parametrize(
    ("broken", "valid"), [("auth/handler.py", ["chat"]), ("common/clock.py", [])]
)
def test_functions_without_a_syntax_error_are_deployed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str, valid: list[str]
) -> None:
    folder = tmp_path / "lambdas"
    for name in ("auth/handler.py", "chat/handler.py", "common/clock.py"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("def :" if name == broken else "pass")
    assert report_syntax_errors(["auth", "chat"], folder) == valid
    assert capsys.readouterr().err.count(f"lambdas/{broken}:1: ") == 1


def test_syntax_error_is_reported_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "lambdas" / "auth" / "logic.py"
    file.parent.mkdir(parents=True)
    file.write_text("x = 1\n")
    assert syntax_error("auth", tmp_path / "lambdas") is None
    file.write_text("def :\n")
    error = syntax_error("auth", tmp_path / "lambdas")
    assert error
    assert error.startswith("lambdas/auth/logic.py:1: ")


class RunQueue:
    """Queues runs of Terraform until the test calls `run_next`."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def run_next(self) -> None:
        self.waiting.pop(0)()


def test_changes_during_a_plan_cause_one_more_plan_which_the_operator_can_apply(
    root: Root, tmp_path: Path
) -> None:
    calls: list[str] = []
    update = {"actions": ["update"], "before": {"days": 7}, "after": {"days": 30}}
    stack: Any = FakeTerraform(tmp_path / "stack", calls)
    stack.plan_document = {"resource_changes": [{"address": "g.x", "type": "g", "change": update}]}

    def deploy(_: Root) -> StartedPlatform:
        calls.append("apply")
        return StartedPlatform({}, {"apply": 1.0})

    runs = RunQueue()
    planning = Planning(root, prepare=lambda _: stack, deploy=deploy, start=runs.waiting.append)
    planning.apply()
    assert runs.waiting == []  # no plan has been made yet
    planning.begin()
    planning.begin()
    planning.begin()
    runs.run_next()
    runs.run_next()
    assert (calls, runs.waiting) == (["plan -lock=false"] * 2, [])
    planning.apply()
    runs.run_next()
    assert calls[-1] == "apply"


def test_plan_lines_name_each_change_and_the_attributes_of_updates() -> None:
    def item(
        kind: str, actions: list[str], before: Any = None, after: Any = None
    ) -> dict[str, Any]:
        return {
            "address": f"{kind}.x",
            "type": kind,
            "change": {"actions": actions, "before": before, "after": after},
        }

    plan = {
        "resource_changes": [
            item("a", ["no-op"]),
            item("b", ["create"]),
            item("c", ["delete", "create"]),
            item("d", ["update"], {"x": 1, "y": 2}, {"x": 1, "y": 3}),
        ]
    }
    assert plan_lines(plan) == ["  create b.x", "  replace c.x", "  update d.x: y"]
