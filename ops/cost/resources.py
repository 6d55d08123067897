"""Reads the resources to price from a synthesized stack or from both sides of a plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.terraform.plan import Plan
from ops.terraform.plan_values import UNKNOWN, values_at
from ops.terraform.stack_document import ConstructPath, Synthesized, construct_of_address

_WHOLE = re.compile(r"^\$\{(aws_\w+)\.([\w-]+)\.(\w+)\}$")
IDS = {"aws_rds_cluster": "cluster_identifier", "aws_lambda_function": "function_name"}
"""The argument whose value is also the resource's `id`, by resource type."""


@dataclass(frozen=True)
class BillableResource:
    """A resource to price, with its values."""

    address: str
    type: str
    construct: ConstructPath
    values: Mapping[str, Any]

    def value(self, path: str, default: Any = None) -> Any:
        """Returns the first known value at a path such as `a.b`, or the default."""
        return next(
            (value for value in values_at(self.values, path) if value is not UNKNOWN), default
        )

    def values_at(self, path: str) -> list[Any]:
        """Returns the values at a path, including those of every item of a list in the path."""
        return values_at(self.values, path)


@dataclass(frozen=True)
class BillableResources:
    """All resources of a stack, or of a plan before or after its changes."""

    items: tuple[BillableResource, ...]

    def named(self, type_: str, attribute: str, value: Any) -> BillableResource | None:
        """Returns the resource of type `type_` whose `attribute` has the value `value`.

        If no value matches, because values are unknown before the apply, returns the only resource
        of the type, or None if the type has several resources or none.
        """
        same_type = [item for item in self.items if item.type == type_]
        same = [item for item in same_type if item.value(attribute) == value]
        return same[0] if same else same_type[0] if len(same_type) == 1 else None


def stack_resources(stack: Synthesized) -> BillableResources:
    """Returns a stack's resources. Replaces references to other resources with their values."""

    def resolved(value: Any) -> Any:
        match = _WHOLE.match(value) if isinstance(value, str) else None
        if not match:
            return value
        type_, label, attribute = match.groups()
        other = stack.resources.get(f"{type_}.{label}")
        literal = (
            other.block.get(IDS.get(type_, attribute) if attribute == "id" else attribute)
            if other
            else None
        )
        return literal if literal is not None else value

    return BillableResources(
        tuple(
            BillableResource(
                item.address,
                item.type,
                item.construct,
                {key: resolved(value) for key, value in item.block.items()},
            )
            for item in stack.resources.values()
        )
    )


def plan_resources(
    plan: Plan, stack: Synthesized | None = None
) -> tuple[BillableResources, BillableResources]:
    """Returns the resources to price, before and after the changes of a plan."""
    sides: tuple[list[BillableResource], list[BillableResource]] = ([], [])
    for change in plan.resources:
        construct = (
            stack.construct_at(change.address, change.tags)
            if stack
            else construct_of_address(change.address, change.tags)
        )
        for side, values in zip(sides, (change.before, change.after), strict=True):
            if values:
                side.append(BillableResource(change.address, change.type, construct, values))
    return BillableResources(tuple(sides[0])), BillableResources(tuple(sides[1]))
