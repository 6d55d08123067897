"""A fake of ops.terraform.runner.Terraform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.terraform.runner import Apply, PlanFile, Terraform


class FakeTerraform(Terraform):
    """Records its calls. Temporary plan files are real, empty files.

    Args:
        calls: Receives `plan` with its options, and `apply`.
    """

    def __init__(self, directory: Path, calls: list[str]) -> None:
        super().__init__(Path("terraform"), directory, {}, directory / "terraform.jsonl")
        directory.mkdir(parents=True, exist_ok=True)
        self._calls = calls
        self.counts = {"add": 1}
        self.outputs: Mapping[str, Any] = {}
        self.plan_document: dict[str, Any] = {"resource_changes": []}
        self.before_apply: Callable[[], None] = lambda: None

    def plan(self, file: Path, options: Sequence[str] = ()) -> PlanFile:
        self._calls.append(" ".join(["plan", *options]))
        file.touch()
        return PlanFile(file, self.counts, {})

    def show(self, file: Path) -> dict[str, Any]:
        assert file.exists()
        return self.plan_document

    def apply(self, plan: PlanFile | None = None) -> Apply:
        assert plan
        assert plan.file.exists()
        self.before_apply()
        self._calls.append("apply")
        return Apply(counts=plan.counts, outputs=dict(self.outputs))

    def plan_files(self) -> list[Path]:
        """Returns the plan files that exist."""
        return list(self.directory.glob("*.tfplan"))
