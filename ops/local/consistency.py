"""Keeps Terraform's state and the embedded AWS consistent across crashes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ops.console import report
from ops.errors import InterruptedRunError
from ops.root import Root, read_json, write_json
from ops.terraform.runner import TerraformError, TerraformKilledError

T = TypeVar("T")


class StateConsistency:
    """Records across runs whether the embedded AWS may differ from Terraform's state.

    Args:
        root: the root, which is the platform's directory.
        directory: the directory of the stack, where Terraform leaves states that it cannot store.
        reset_aws: empties the embedded AWS, including the stored state.
    """

    def __init__(self, root: Root, directory: Path, reset_aws: Callable[[], object]) -> None:
        self._file = root.path / "fit.json"
        self._directory = directory
        self._reset_aws = reset_aws
        stored = read_json(self._file) or {}
        self._is_doubtful: bool = stored.get("doubtful", False)
        """True if the embedded AWS or an apply was killed since the last complete apply."""
        self._was_applied: bool = stored.get("applied", False)

    def check(self, *, aws_was_killed: bool) -> None:
        """Empties the embedded AWS if the first apply was killed: there is no data to keep."""
        if aws_was_killed:
            self._write(doubtful=True, applied=self._was_applied)
        if self._is_doubtful and not self._was_applied:
            report("The first apply was killed, so the embedded AWS is emptied and recreated")
            self._reset()

    def run(self, deploy: Callable[[], T]) -> T:
        """Deploys. If that fails after a crash, empties the embedded AWS and deploys again."""
        was_doubtful = self._is_doubtful
        try:
            return deploy()
        except TerraformKilledError:
            raise
        except TerraformError as error:
            if not was_doubtful:
                raise
            report(
                "After a crash, the embedded AWS does not match Terraform's state, so it is emptied"
                f" and recreated:\n{error}"
            )
            self._reset()
            return deploy()

    def apply(self, apply: Callable[[], T]) -> T:
        """Runs an apply. Records the consistency as doubtful until the apply ends normally."""
        was_doubtful = self._is_doubtful
        self._write(doubtful=True, applied=self._was_applied)
        try:
            result = apply()
        except TerraformKilledError:
            raise
        except (TerraformError, InterruptedRunError):
            if not was_doubtful:
                self._write(doubtful=False, applied=self._was_applied)
            raise
        self._write(doubtful=False, applied=True)
        return result

    def _reset(self) -> None:
        # Terraform stores an errored state at the next apply, but its resources are deleted here.
        for left in self._directory.glob("errored*.tfstate"):
            left.unlink()
        self._reset_aws()
        self._write(doubtful=False, applied=False)

    def _write(self, *, doubtful: bool, applied: bool) -> None:
        self._is_doubtful, self._was_applied = doubtful, applied
        write_json(self._file, {"doubtful": doubtful, "applied": applied})
