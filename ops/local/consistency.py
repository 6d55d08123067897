"""Keeps Terraform's state and the embedded AWS consistent across crashes without deleting data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ops.console import report
from ops.embedded.services import Aws
from ops.errors import InterruptedRunError, OperatorError
from ops.root import Root, read_json, write_json
from ops.terraform.runner import TerraformError, TerraformKilledError

T = TypeVar("T")
ADOPTIONS = 5
"""Attempts to adopt resources. An adopted resource can reveal others that depend on it."""


class StateConsistency:
    """Records across runs whether the embedded AWS may differ from Terraform's state.

    Args:
        root: the root, which is the platform's directory.
        directory: the directory of the stack, where Terraform writes a state that it cannot store.
        reset_aws: starts an empty embedded AWS without a stored state, and returns the directory
            with a copy of the previous data.
    """

    def __init__(self, root: Root, directory: Path, reset_aws: Callable[[], Path]) -> None:
        self._file = root.path / "fit.json"
        self._directory = directory
        self._reset_aws = reset_aws
        stored = read_json(self._file)
        if not isinstance(stored, dict):
            # A new root has no AWS to doubt. Otherwise the file is damaged.
            has_data = (root.path / Aws.name).exists()
            stored = {"doubtful": has_data, "applied": has_data}
        self._is_doubtful: bool = stored.get("doubtful", False)
        """True if the embedded AWS or an apply was killed since the last complete apply."""
        self._was_applied: bool = stored.get("applied", False)

    def doubt(self) -> None:
        """Records that the AWS was killed or lost data."""
        self._write(doubtful=True, applied=self._was_applied)

    def check(self, *, reset: bool = False) -> None:
        """Starts an empty AWS if `reset` is set, or if the first apply was killed.

        Args:
            reset: the operator requested an empty AWS.
        """
        if reset:
            self._reset()
        elif self._is_doubtful and not self._was_applied:
            report("The first apply was killed, so the embedded AWS is replaced by an empty one")
            self._reset()

    def run(self, deploy: Callable[[], T], adopt: Callable[[frozenset[str]], list[str]]) -> T:
        """Runs a deployment. If it fails after a crash, imports existing resources and retries it.

        Args:
            deploy: applies the stack.
            adopt: prepares the import of resources by address, and returns the importable ones.

        Raises:
            TerraformError: the deployment failed for another reason than the crash.
            OperatorError: after a crash, the AWS and the state cannot be reconciled.
        """
        was_doubtful = self._is_doubtful
        for _ in range(ADOPTIONS):
            try:
                return deploy()
            except TerraformKilledError:
                raise
            except TerraformError as error:
                if not was_doubtful:
                    raise
                adopted = adopt(error.existing) if error.existing else []
                if not adopted:
                    raise _unreconciled(error) from error
                report(f"Adopting resources that a killed apply created: {', '.join(adopted)}")
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
        # Otherwise the next apply would store these states, which describe the replaced AWS.
        for left in self._directory.glob("errored*.tfstate"):
            left.unlink()
        copy = self._reset_aws()
        report(f"Kept the previous data of the embedded AWS in {copy}")
        self._write(doubtful=False, applied=False)

    def _write(self, *, doubtful: bool, applied: bool) -> None:
        self._is_doubtful, self._was_applied = doubtful, applied
        write_json(self._file, {"doubtful": doubtful, "applied": applied})


def _unreconciled(error: TerraformError) -> OperatorError:
    return OperatorError(
        f"{error}\nA command or the embedded AWS was killed earlier, so the AWS may not match"
        " Terraform's state. Nothing was deleted. Run the command again; if the error remains,"
        " `ops up --reset` starts with an empty AWS and keeps a copy of the data"
    )
