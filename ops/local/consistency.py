"""Keeps Terraform's state and the embedded AWS consistent after crashes, without deleting data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ops.cloud import Cloud
from ops.console import report
from ops.embedded.services import Aws
from ops.errors import InterruptedRunError, OperatorError
from ops.root import Root, read_json, write_json
from ops.terraform.runner import TerraformError, TerraformKilledError
from ops.terraform.state import read_state

T = TypeVar("T")


class StateConsistency:
    """Records across runs whether the embedded AWS may differ from Terraform's state.

    Args:
        root: The directory of the local platform.
        directory: The directory of the stack. If Terraform cannot store a state in the embedded
            AWS, it writes the state to this directory.
        reset_aws: Starts an empty embedded AWS, which also has no Terraform state. Returns the
            directory with a copy of the previous data.
    """

    def __init__(self, root: Root, directory: Path, reset_aws: Callable[[], Path]) -> None:
        self._file = root.path / "fit.json"
        self._directory = directory
        self._reset_aws = reset_aws
        stored = read_json(self._file)
        if not isinstance(stored, dict):
            # A new root directory has no record. If the directory contains data, the record is
            # missing only if the file of the record is damaged.
            has_data = (root.path / Aws.name).exists()
            stored = {"doubtful": has_data, "applied": has_data}
        # A record that an earlier version of this class wrote does not contain `lost`.
        self.may_lack_changes: bool = stored.get("lost", stored.get("doubtful", False))
        """True if the embedded AWS may lack changes that Terraform stored in its state."""
        self.is_doubtful: bool = stored.get("doubtful", False)
        """True if one of these events happened since the last successful apply or reset: an apply
        was killed, the embedded AWS lost data, or an apply may have created a resource that
        Terraform could not store in its state.
        """
        self._was_applied: bool = stored.get("applied", False)

    def doubt(self) -> None:
        """Records that the embedded AWS may differ from the state, because it lost data."""
        self.may_lack_changes = True
        self._write(doubtful=True, applied=self._was_applied)

    def check(self, *, reset: bool = False) -> None:
        """Starts an empty embedded AWS if `reset` is True or the first apply left resources that
        the state lacks.

        Args:
            reset: True if the operator requested an empty AWS.
        """
        if reset:
            self._reset()
        elif self.is_doubtful and not self._was_applied:
            report("The first apply did not end, so the embedded AWS is replaced by an empty one")
            self._reset()

    def refuse_lost_state(self, cloud: Cloud, copy: Path) -> None:
        """Raises an error if an earlier apply created tables but Terraform's state is missing.

        Without the state, an apply would create a second user pool, which has no users.

        Args:
            cloud: The embedded AWS, after `repair_state`.
            copy: The file from which `repair_state` can restore the state.

        Raises:
            OperatorError: The state is lost.
        """
        if not self._was_applied or read_state(cloud) is not None:
            return
        if cloud.client("dynamodb").list_tables()["TableNames"]:
            raise OperatorError(
                "Terraform's state is lost, with its earlier versions and its copy, but the"
                " embedded AWS has data. Nothing was changed. If you have a state file of this"
                f" platform, copy it to {copy} and run the command again. Otherwise,"
                " `ops up --reset` starts with an empty AWS and keeps a copy of the data"
            )

    def run(
        self,
        deploy: Callable[[], T],
        adopt: Callable[[frozenset[str], frozenset[str]], list[str]],
    ) -> T:
        """Runs a deployment of the local platform. Imports existing resources and retries if the
        deployment fails after a crash, or because a slow machine made the provider repeat calls.

        Args:
            deploy: Applies the stack.
            adopt: Its first argument contains the addresses of resources that Terraform could not
                create because they exist. It adds import blocks for these resources. Its second
                argument contains the addresses of resources that Terraform could not import because
                they do not exist. It removes the import blocks of these resources. It returns the
                addresses of the added import blocks.

        Raises:
            TerraformError: The deployment failed for a reason other than a crash.
            OperatorError: After a crash, the embedded AWS and the state cannot be made consistent.
        """
        was_doubtful = self.is_doubtful
        while True:
            try:
                return deploy()
            except TerraformKilledError:
                raise
            except TerraformError as error:
                existing = error.existing if was_doubtful else error.repeated
                # Before each retry, `adopt` adds or removes import blocks. After some imports,
                # Terraform finds more resources that already exist. Others turn out not to exist.
                adopted = adopt(existing, error.absent) if existing | error.absent else []
                if not adopted and not error.absent:
                    raise (_unreconciled(error) if was_doubtful else error) from error
                if adopted:
                    names = ", ".join(adopted)
                    report(f"Adopting resources that an earlier apply created: {names}")

    def apply(self, apply: Callable[[], T]) -> T:
        """Runs `terraform apply`.

        Before the apply, records that the embedded AWS and Terraform's state may differ. Removes
        the record after a success. After an error, keeps the record if it already existed before
        the apply, or if a resource may exist that Terraform could not store in the state.
        """
        was_doubtful = self.is_doubtful
        self._write(doubtful=True, applied=self._was_applied)
        try:
            result = apply()
        except TerraformKilledError:
            raise
        except (TerraformError, InterruptedRunError) as error:
            if not (was_doubtful or getattr(error, "repeated", None)):
                self._write(doubtful=False, applied=self._was_applied)
            raise
        self._write(doubtful=False, applied=True)
        return result

    def _reset(self) -> None:
        # If Terraform could not store a state, it has written errored.tfstate. This file describes
        # the resources of the old embedded AWS. If the file remained, the next apply would store
        # this state in the new embedded AWS.
        for left in self._directory.glob("errored*.tfstate"):
            left.unlink()
        copy = self._reset_aws()
        report(f"Kept the previous data of the embedded AWS in {copy}")
        self._write(doubtful=False, applied=False)

    def _write(self, *, doubtful: bool, applied: bool) -> None:
        self.is_doubtful, self._was_applied = doubtful, applied
        self.may_lack_changes = doubtful and self.may_lack_changes
        record = {"doubtful": doubtful, "applied": applied, "lost": self.may_lack_changes}
        write_json(self._file, record)


def _unreconciled(error: TerraformError) -> OperatorError:
    return OperatorError(
        f"{error}\nA command was killed or the embedded AWS lost data earlier, so the embedded AWS"
        " may not match Terraform's state. Nothing was deleted. Run the command again; if the error"
        " remains, `ops up --reset` starts with an empty AWS and keeps a copy of the data"
    )
