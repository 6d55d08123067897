"""What a review leaves beside the plan it reviewed, so that exactly this plan is applied or none."""

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
    """Which state a plan was made from; an apply gives it the next serial."""

    lineage: str
    serial: int

    def __str__(self) -> str:
        return f"serial {self.serial}" if self.lineage else "nothing applied yet"


NOTHING_APPLIED = StateVersion("", 0)


@dataclass(frozen=True)
class Receipt:
    """A review in short, with what must still be so when the plan is applied."""

    environment: str
    sha256: str
    """Of the plan file."""
    state: StateVersion
    files: Mapping[str, str]
    """SHA-256 of what the plan uploads, by path below the stack's directory."""
    verdict: str
    summary: str
    counts: Mapping[str, int]
    """Resources to add, change and remove, as Terraform counts them."""
    destroys: Mapping[str, str]
    """`destroy` or `replace`, by the address of each resource that will not outlive the plan."""


def file_digest(file: Path) -> str:
    """A file's SHA-256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def state_of_plan(file: Path) -> StateVersion:
    """The state that a plan was made from, as its file has it."""
    try:
        with zipfile.ZipFile(file) as parts:
            return state_version(json.loads(parts.read("tfstate")))
    except (zipfile.BadZipFile, KeyError) as error:
        raise OperatorError(f"{file} is no plan file of Terraform") from error


def state_version(state: Mapping[str, Any] | None) -> StateVersion:
    """A state's version; that of none, where nothing was applied."""
    return (
        StateVersion(state["lineage"], state["serial"])
        if state and state.get("lineage")
        else NOTHING_APPLIED
    )


def write_receipt(file: Path, review: Review, directory: Path) -> Receipt:
    """Writes the receipt of a reviewed plan file beside it.

    Args:
        directory: the stack's, which the plan's paths are below.
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
        summary=review.says(),
        counts={
            "add": sum(change.action in {Action.CREATE, Action.REPLACE} for change in changes),
            "change": sum(change.action is Action.UPDATE for change in changes),
            "remove": sum(change.action in {Action.DESTROY, Action.REPLACE} for change in changes),
        },
        destroys={
            change.address: ends[change.action] for change in changes if change.action in ends
        },
    )
    write_json(_beside(file), asdict(receipt))
    return receipt


def uploads(plan: Plan) -> list[str]:
    """The files that a plan uploads, by path below the stack's directory."""
    sources = [
        change.after.get("source")
        for change in plan.changes
        if change.type == "aws_s3_object" and change.after
    ]
    return sorted(source for source in sources if isinstance(source, str))


def check_receipt(file: Path, environment: str, state: StateVersion, directory: Path) -> Receipt:
    """The receipt of a plan file, if the plan may be applied.

    Args:
        state: the environment's, as it is now.
        directory: the stack's.

    Raises:
        OperatorError: the plan was not reviewed, was reviewed for another environment, is not the one that was reviewed, or is stale; the
            message says which, and what to do.
    """
    again = f"review again: `python -m ops review {environment}`"
    document = read_json(_beside(file)) if file.is_file() else None
    if document is None:
        missing = "was not reviewed" if file.is_file() else "is not there"
        raise OperatorError(f"The plan {file} {missing}: {again}")
    receipt = Receipt(**{**document, "state": StateVersion(**document["state"])})
    if receipt.environment != environment:
        raise OperatorError(f"The plan {file} is for {receipt.environment}, not for {environment}")
    if file_digest(file) != receipt.sha256:
        raise OperatorError(
            f"The plan {file} is not the one that was reviewed, its contents differ: {again}"
        )
    if receipt.state != state:
        raise OperatorError(
            f"The plan {file} is stale: it was made from {receipt.state}, and the state is at {state}: {again}"
        )
    changed = [
        name
        for name, digest in receipt.files.items()
        if not (directory / name).is_file() or file_digest(directory / name) != digest
    ]
    if changed:
        raise OperatorError(
            f"What the plan uploads is not there any more as it was reviewed ({', '.join(changed)}): {again}"
        )
    return receipt


def remove_plan(file: Path) -> None:
    """Removes a plan, which holds everything that the state holds, and its receipt."""
    file.unlink(missing_ok=True)
    _beside(file).unlink(missing_ok=True)


def _beside(file: Path) -> Path:
    return file.with_name(file.name + ENDING)
