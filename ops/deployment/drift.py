"""Reports changes made outside Terraform since the last apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ops.cloud import Cloud
from ops.root import Root
from ops.terraform.outside_changes import OutsideChange, outside_changes
from ops.terraform.preparation import prepare_stack
from ops.terraform.runner import Terraform
from ops.terraform.state import outputs, read_state, refuse_locked_state

SECRET_TYPES = ("aws_ssm_parameter",)
"""Resource types that the drift check skips, because Terraform would read their secret values.

The nightly drift check runs without an approval, so its role must not be able to read secrets.
"""


def compare_with_state(
    cloud: Cloud,
    root: Root,
    out: Path,
    *,
    prepare_stack: Callable[[Cloud, Root, Path], Terraform] = prepare_stack,
) -> list[OutsideChange]:
    """Compares an environment's resources with its Terraform state, without changing either.

    Args:
        out: The output directory of synthesis.

    Raises:
        OperatorError: The environment is not deployed, or another command is changing it.
    """
    outputs(cloud)
    refuse_locked_state(cloud)
    stack = prepare_stack(cloud, root, out)
    # The plan is never applied, so `ops drift` takes no lock and needs no permission to lock.
    options = ["-refresh-only", "-lock=false", *targets(read_state(cloud) or {})]
    with stack.temporary_plan("drift", options) as plan:
        shown = stack.show(plan.file)
    return outside_changes(shown)


def targets(state: Mapping[str, Any]) -> list[str]:
    """Returns the `-target` options for all resources of a state, except those of SECRET_TYPES.

    The drift check must not read secrets. Terraform 1.11 has no option to exclude resources, and
    without -target it refreshes all resources in the state.
    """
    return [
        f"-target={item['type']}.{item['name']}"
        for item in state.get("resources", ())
        if item["mode"] == "managed" and item["type"] not in SECRET_TYPES
    ]
