"""Makes or reads a plan, reviews it, and applies exactly what was reviewed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.cloud import Cloud
from ops.console import say
from ops.cost.usage import Usage
from ops.errors import OperatorError
from ops.functions.versions import Functions
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
from ops.terraform.plan import Plan as ReadPlan
from ops.terraform.plan import read_plan
from ops.terraform.runner import Apply, Plan, Terraform
from ops.terraform.stack_document import Synthesized, read_synthesized
from ops.terraform.state import outputs_or_none, read_state, remove_stale_lock
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import terraform, terraform_variables
from ops.traffic.dependencies import refuse_removals
from ops.traffic.ledger import Ledger

FILE = "reviewed.tfplan"
"""The plan that `ops review` makes, in the stack's directory."""


@dataclass(frozen=True)
class Reviewed:
    """A review and what it was made of."""

    review: Review
    document: dict[str, Any]
    """The plan, as `terraform show -json` has it: with sensitive values."""
    stack: Synthesized | None
    file: Path | None
    """The plan file that may be applied; None where only its JSON was given."""


def stacks(cloud: Cloud | None, root: Root) -> Path:
    """Where synthesis writes for an environment: the embedded cloud's has a place of its own."""
    return (root.cdktf_out if cloud and cloud.endpoint else PROJECT / "cdktf.out") / "stacks"


def review_new(
    cloud: Cloud,
    root: Root,
    usage: Usage | None,
    *,
    file: Path | None = None,
    options: Sequence[str] = (),
) -> Reviewed:
    """Synthesizes, plans and reviews.

    Args:
        file: where the plan is written; in the stack's directory unless named.
        options: more of Terraform's for the plan, such as `-refresh=false`.

    Raises:
        OperatorError: synthesis or the plan failed.
        InterruptedRunError: the operator stopped it.
    """
    name = cloud.environment.name
    root.prepare()
    cloud.check_account()
    with _at_work(cloud, root):
        directory = stacks(cloud, root) / name
        synthesize([name], directory.parent.parent, cloud.variables)
        if "-lock=false" not in options:
            remove_stale_lock(cloud, directory)
        stack = _terraform(cloud, root)
        stack.init()
        file = (file or directory / FILE).resolve()
        remove_plan(file)
        try:
            stack.plan(file, options)
            file.chmod(0o600)
            return _reviewed(stack.show(file), name, directory, usage, file)
        except BaseException:
            remove_plan(file)
            raise


def review_file(
    cloud: Callable[[], Cloud], environment: str, root: Root, file: Path, usage: Usage | None
) -> Reviewed:
    """Reviews a plan that exists.

    Args:
        cloud: connects to the environment's; called only where Terraform has to read the file.
        file: of `terraform plan -out`, or what `terraform show -json` writes of it.

    Raises:
        OperatorError: there is no such plan.
    """
    if not file.is_file():
        raise OperatorError(f"There is no plan {file}")
    if file.read_bytes().lstrip().startswith(b"{"):
        found = [
            path
            for path in (stacks(None, root) / environment, root.cdktf_out / "stacks" / environment)
            if path.is_dir()
        ]
        return _reviewed(
            json.loads(file.read_text(encoding="utf-8")),
            environment,
            found[0] if found else None,
            usage,
            None,
        )
    connected = cloud()
    directory = stacks(connected, root) / environment
    if not directory.is_dir():
        synthesize([environment], directory.parent.parent, connected.variables)
    stack = _terraform(connected, root)
    stack.init()
    return _reviewed(stack.show(file.resolve()), environment, directory, usage, file.resolve())


def _reviewed(
    document: dict[str, Any],
    environment: str,
    directory: Path | None,
    usage: Usage | None,
    file: Path | None,
) -> Reviewed:
    plan: ReadPlan = read_plan(document)
    stack = read_synthesized(directory) if directory else None
    result = review(
        plan, environment, stack, usage=usage, digest=file_digest(file) if file else None
    )
    if file and directory:
        write_receipt(file, result, directory)
    return Reviewed(result, document, stack, file)


def apply_reviewed(
    cloud: Cloud, root: Root, file: Path, confirm: Callable[[Receipt], None]
) -> Apply:
    """Applies exactly a plan that was reviewed; the plan is removed afterwards, since it cannot be applied twice.

    Args:
        confirm: is shown the receipt; raises to stop.

    Raises:
        OperatorError: the plan was not reviewed, has changed since, or is stale; or the apply failed.
        InterruptedRunError: the operator stopped it.
    """
    name = cloud.environment.name
    root.prepare()
    cloud.check_account()
    with _at_work(cloud, root), Ledger(cloud).locked("apply", cloud.who()) as lock:
        directory = stacks(cloud, root) / name
        receipt = check_receipt(file, name, state_version(read_state(cloud)), directory)
        confirm(receipt)
        remove_stale_lock(cloud, directory)
        stack = _terraform(cloud, root)
        stack.init()
        found = outputs_or_none(cloud)
        if found and cloud.environment.release_strategy == "gradual":
            refuse_removals(stack.show(file.resolve()), Functions(cloud, found["functions"]))
        lock.check()
        # Terraform itself refuses a plan whose state has changed meanwhile.
        applied = stack.apply(Plan(file.resolve(), dict(receipt.counts), dict(receipt.destroys)))
        remove_plan(file)
        return applied


def _terraform(cloud: Cloud, root: Root) -> Terraform:
    name = cloud.environment.name
    variables = {**terraform_variables(root), **cloud.variables}
    return Terraform(
        terraform(root),
        stacks(cloud, root) / name,
        variables,
        root.logs / f"terraform-{name}.jsonl",
    )


@contextlib.contextmanager
def _at_work(cloud: Cloud, root: Root) -> Iterator[None]:
    """Keeps `ops up` away from the embedded cloud's stack meanwhile."""
    with root.exclusive() if cloud.endpoint else contextlib.nullcontext():
        yield


def say_where(reviewed: Reviewed) -> None:
    """Says how the reviewed plan is applied."""
    if reviewed.file and reviewed.review.changes:
        say(
            f"To apply exactly this plan: python -m ops apply {reviewed.review.environment} --reviewed {reviewed.file}"
        )
