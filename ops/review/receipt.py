"""Writes and checks receipts. A receipt ensures that only the reviewed plan is applied."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.errors import OperatorError
from ops.review.review import Review
from ops.root import read_json, write_json
from ops.terraform.plan import Action, Plan

ENDING = ".review.json"


@dataclass(frozen=True)
class StateVersion:
    """A version of Terraform's state. Every apply increments the serial."""

    lineage: str
    serial: int

    def __str__(self) -> str:
        return f"serial {self.serial}" if self.lineage else "(none yet)"


NOTHING_APPLIED = StateVersion("", 0)


@dataclass(frozen=True)
class Receipt:
    """The summary of a review, and the facts that must be unchanged when the plan is applied."""

    environment: str
    sha256: str
    """SHA-256 of the plan file, in hexadecimal."""
    state: StateVersion
    files: Mapping[str, str]
    """SHA-256 of each file that the plan uploads, by path relative to the stack's directory."""
    verdict: str
    summary: str
    counts: Mapping[str, int]
    """Numbers of resources under `add`, `change` and `remove`, as Terraform counts them."""
    destroys: Mapping[str, str]
    """`destroy` or `replace`, by the address of each resource that the plan destroys or
    replaces.
    """


def file_digest(file: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def state_of_plan(file: Path) -> StateVersion:
    """Returns the version of the state that a plan file is based on."""
    try:
        with zipfile.ZipFile(file) as parts:
            return state_version(json.loads(parts.read("tfstate")))
    except (zipfile.BadZipFile, KeyError) as error:
        raise OperatorError(f"{file} is not a Terraform plan file") from error


def state_version(state: Mapping[str, Any] | None) -> StateVersion:
    """Returns the version of a state, or NOTHING_APPLIED if there is no state yet."""
    return (
        StateVersion(state["lineage"], state["serial"])
        if state and state.get("lineage")
        else NOTHING_APPLIED
    )


def write_receipt(file: Path, review: Review, directory: Path) -> Receipt:
    """Writes the receipt of a reviewed plan file into the directory of the plan file.

    Args:
        directory: The stack's directory, to which the paths in the plan are relative.
    """
    changes = review.plan.changes
    ends = {Action.DESTROY: "destroy", Action.REPLACE: "replace"}
    receipt = Receipt(
        environment=review.environment,
        sha256=file_digest(file),
        state=state_of_plan(file),
        files={
            name: file_digest(directory / name)
            for name in uploads(review.plan)
            if (directory / name).is_file()
        },
        verdict=str(review.verdict),
        summary=review.summary,
        counts={
            "add": sum(
                change.action in {Action.CREATE, Action.REPLACE, Action.SUPERSEDE}
                for change in changes
            ),
            "change": sum(change.action is Action.UPDATE for change in changes),
            "remove": sum(change.action in {Action.DESTROY, Action.REPLACE} for change in changes),
        },
        destroys={
            change.address: ends[change.action] for change in changes if change.action in ends
        },
    )
    write_json(_receipt_file(file), asdict(receipt))
    return receipt


def uploads(plan: Plan) -> list[str]:
    """Returns the files that a plan uploads, as paths relative to the stack's directory."""
    sources = [
        change.after.get("source")
        for change in plan.changes
        if change.type == "aws_s3_object" and change.after
    ]
    return sorted(source for source in sources if isinstance(source, str))


def check_receipt(file: Path, environment: str, state: StateVersion, directory: Path) -> Receipt:
    """Returns the receipt of a plan file if the plan may be applied.

    Args:
        state: the current version of the environment's state.
        directory: the stack's directory.

    Raises:
        OperatorError: The plan was not reviewed, was reviewed for another environment, was modified
            after the review, or is stale.
    """
    again = f"run `python -m ops review {environment}` again"
    document = read_json(_receipt_file(file)) if file.is_file() else None
    if document is None:
        problem = "was not reviewed" if file.is_file() else "does not exist"
        raise OperatorError(f"The plan {file} {problem}: {again}")
    receipt = Receipt(**{**document, "state": StateVersion(**document["state"])})
    if receipt.environment != environment:
        raise OperatorError(f"The plan {file} is for {receipt.environment}, not for {environment}")
    if file_digest(file) != receipt.sha256:
        raise OperatorError(f"The plan {file} was modified after the review: {again}")
    if receipt.state != state:
        raise OperatorError(
            f"The plan {file} is stale: it is based on state {receipt.state},"
            f" but the current state is {state}: {again}"
        )
    changed = [
        name
        for name, digest in receipt.files.items()
        if not (directory / name).is_file() or file_digest(directory / name) != digest
    ]
    if changed:
        raise OperatorError(
            f"Files that the plan uploads are missing or were modified after the review"
            f" ({', '.join(changed)}): {again}"
        )
    return receipt


def remove_plan(file: Path) -> None:
    """Deletes a plan file and its receipt. The plan file contains secrets from the state."""
    file.unlink(missing_ok=True)
    _receipt_file(file).unlink(missing_ok=True)


def _receipt_file(file: Path) -> Path:
    return file.with_name(file.name + ENDING)
