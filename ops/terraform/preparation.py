"""Prepares an environment's stack for Terraform commands."""

from __future__ import annotations

from pathlib import Path

from ops.cloud import Cloud
from ops.root import Root
from ops.terraform.runner import Terraform
from ops.terraform.state import remove_stale_lock
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import terraform, terraform_variables


def stack_terraform(cloud: Cloud, root: Root, out: Path) -> Terraform:
    """Returns a `Terraform` for the environment's stack.

    The caller must synthesize the stack before it runs Terraform.
    """
    name = cloud.environment.name
    return Terraform(
        terraform(root),
        out / "stacks" / name,
        {**terraform_variables(root, cloud.inherited_variables()), **cloud.variables},
        stack_log(root, name),
    )


def stack_log(root: Root, environment: str) -> Path:
    """Returns the path of the log file for Terraform runs. `ops up` uses a different log file."""
    return root.logs / f"terraform-{environment}.jsonl"


def prepare_stack(cloud: Cloud, root: Root, out: Path, *, locks: bool = True) -> Terraform:
    """Synthesizes and initializes the environment's Terraform, and removes a stale state lock.

    Args:
        out: The output directory of synthesis.
        locks: Whether the caller's Terraform commands lock the state. If False, does not remove a
            stale lock.

    Raises:
        OperatorError: Synthesis or initialization failed.
    """
    root.prepare()
    synthesize([cloud.environment.name], out, cloud.variables)
    stack = stack_terraform(cloud, root, out)
    if locks:
        remove_stale_lock(cloud, stack.directory)
    stack.init()
    return stack
