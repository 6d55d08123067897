"""Creates or reads a Terraform plan, reviews the plan, and applies exactly the reviewed plan."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from environments import EnvironmentFileError, load_environment
from ops.cloud import Cloud
from ops.console import report
from ops.cost.usage import Usage
from ops.functions.versions import Functions
from ops.review.offline import plan_offline
from ops.review.receipt import (
    Receipt,
    check_receipt,
    file_digest,
    remove_plan,
    state_version,
    write_receipt,
)
from ops.review.review import Review, review
from ops.root import PROJECT, Root
from ops.terraform.plan import read_plan
from ops.terraform.plan_file import is_plan_archive, read_plan_document
from ops.terraform.preparation import prepare_stack, stack_terraform
from ops.terraform.runner import Apply, PlanFile
from ops.terraform.stack_document import Synthesized, read_synthesized
from ops.terraform.state import outputs_or_none, read_state, remove_stale_lock
from ops.terraform.synthesis import synthesize
from ops.traffic.dependencies import refuse_removals
from ops.traffic.ledger import Ledger

FILE = "reviewed.tfplan"
"""The plan file that `ops review` writes into the stack's directory."""


@dataclass(frozen=True)
class Reviewed:
    """A review and its inputs."""

    review: Review
    document: dict[str, Any]
    """The plan, as printed by `terraform show -json`. Contains sensitive values."""
    stack: Synthesized | None
    file: Path | None
    """The plan file in Terraform's own format, or None if the plan was read from JSON."""


def stacks_directory(cloud: Cloud | None, root: Root) -> Path:
    """Returns the directory of synthesized stacks.

    For the embedded cloud, this directory is in the local platform's directory. For AWS, it is in
    the checkout.
    """
    return (root.cdktf_out if cloud and cloud.endpoint else PROJECT / "cdktf.out") / "stacks"


def review_new(
    cloud: Cloud,
    root: Root,
    usage: Usage | None,
    *,
    file: Path | None = None,
    options: Sequence[str] = (),
) -> Reviewed:
    """Synthesizes the environment, creates a plan and reviews it.

    Args:
        file: the plan file to write (default: FILE in the stack's directory).
        options: additional options of `terraform plan`, such as `-refresh=false`.

    Raises:
        OperatorError: synthesis or planning failed.
        InterruptedRunError: the operator interrupted the run.
    """
    root.prepare()
    with _exclusive(cloud, root):
        out = stacks_directory(cloud, root).parent
        stack = prepare_stack(cloud, root, out, locks="-lock=false" not in options)
        file = (file or stack.directory / FILE).resolve()
        remove_plan(file)
        try:
            stack.plan(file, options)
            file.chmod(0o600)
            return _reviewed(stack.show(file), cloud.environment.name, stack.directory, usage, file)
        except BaseException:
            remove_plan(file)
            raise


def review_offline(environment: str, root: Root, usage: Usage | None, base: str) -> Reviewed:
    """Reviews what the checkout changes in comparison with a commit. Needs no AWS account.

    Args:
        base: The commit: a hash, a branch or a tag.

    Raises:
        OperatorError: The commit does not exist, or synthesis or planning failed.
    """
    document, directory, note = plan_offline(environment, root, base)
    reviewed = _reviewed(document, environment, directory, usage, None)
    result = replace(reviewed.review, notes=(note, *reviewed.review.notes))
    return replace(reviewed, review=result)


def review_file(
    cloud: Callable[[], Cloud], environment: str, root: Root, file: Path, usage: Usage | None
) -> Reviewed:
    """Reviews an existing plan.

    Args:
        cloud: Connects to the environment. Called only if Terraform must read the file.
        file: a plan file of `terraform plan -out`, or its JSON from `terraform show -json`.

    Raises:
        OperatorError: the file does not exist or is not a plan.
    """
    if not is_plan_archive(file):
        parents = (stacks_directory(None, root), root.cdktf_out / "stacks")
        directories = (parent / environment for parent in parents)
        directory = next((item for item in directories if item.is_dir()), None)
        return _reviewed(read_plan_document(file), environment, directory, usage, None)
    connected = cloud()
    directory = stacks_directory(connected, root) / environment
    if not directory.is_dir():
        synthesize([environment], directory.parent.parent, connected.variables)
    stack = stack_terraform(connected, root, stacks_directory(connected, root).parent)
    stack.init()
    return _reviewed(stack.show(file.resolve()), environment, directory, usage, file.resolve())


def _reviewed(
    document: dict[str, Any],
    environment: str,
    directory: Path | None,
    usage: Usage | None,
    file: Path | None,
) -> Reviewed:
    stack = read_synthesized(directory) if directory else None
    result = review(
        read_plan(document),
        environment,
        stack,
        usage=usage,
        digest=file_digest(file) if file else None,
    )
    if file and directory:
        write_receipt(file, result, directory)
    return Reviewed(result, document, stack, file)


def is_emulated(environment: str) -> bool:
    """Returns True if the environment uses an emulated AWS. False for an unknown environment."""
    try:
        return load_environment(environment).endpoints.aws is not None
    except EnvironmentFileError:
        return False


def apply_reviewed(
    cloud: Cloud, root: Root, file: Path, confirm: Callable[[Receipt], None]
) -> Apply:
    """Applies a reviewed plan and deletes the plan file, which cannot be applied again.

    Args:
        confirm: Receives the receipt, and raises an exception to cancel the apply.

    Raises:
        OperatorError: the plan was not reviewed, was modified after the review or is stale, or the
            apply failed.
        InterruptedRunError: the operator interrupted the run.
    """
    name = cloud.environment.name
    root.prepare()
    with _exclusive(cloud, root), Ledger(cloud).locked("apply", cloud.operator) as lock:
        directory = stacks_directory(cloud, root) / name
        receipt = check_receipt(file, name, state_version(read_state(cloud)), directory)
        confirm(receipt)
        remove_stale_lock(cloud, directory)
        stack = stack_terraform(cloud, root, stacks_directory(cloud, root).parent)
        stack.init()
        deployed = outputs_or_none(cloud)
        if deployed and cloud.environment.release_strategy == "gradual":
            refuse_removals(stack.show(file.resolve()), Functions(cloud, deployed["functions"]))
        lock.check()
        # Terraform rejects the plan if the state has changed since the check.
        applied = stack.apply(
            PlanFile(file.resolve(), dict(receipt.counts), dict(receipt.destroys))
        )
        remove_plan(file)
        return applied


@contextlib.contextmanager
def _exclusive(cloud: Cloud, root: Root) -> Iterator[None]:
    """Prevents `ops up` from changing the embedded cloud's stack at the same time."""
    with root.exclusive() if cloud.endpoint else contextlib.nullcontext():
        yield


def print_apply_command(reviewed: Reviewed) -> None:
    """Prints the command that applies the reviewed plan."""
    if reviewed.file and reviewed.review.does_anything:
        report(
            "To apply exactly this plan, run:"
            f" python -m ops apply {reviewed.review.environment} --reviewed {reviewed.file}"
        )
