"""Plans in the format of `terraform show -json`, built from a synthesized stack."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from ops.diagram.drawing import load_drawing
from ops.terraform.stack_document import ConstructPath, Resource, Synthesized

Block = dict[str, Any]


def item(type_: str, label: str, before: Block | None, after: Block | None, **change: Any) -> Block:
    """Returns one entry of `resource_changes`."""
    actions = (
        ["create"]
        if before is None
        else ["delete"]
        if after is None
        else ["update"]
        if before != after
        else ["no-op"]
    )
    return {
        "address": f"{type_}.{label}",
        "mode": "managed",
        "type": type_,
        "name": label,
        "change": {
            "actions": actions,
            "before": before,
            "after": after,
            "after_unknown": {},
            "before_sensitive": {},
            "after_sensitive": {},
            **change,
        },
    }


def document(*items: Block, **fields: Any) -> Block:
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "planned_values": {},
        "resource_changes": list(items),
        **fields,
    }


def stack_plan(stack: Synthesized, changed: Mapping[str, Block | None]) -> Block:
    """Returns a plan that changes some resources of a stack.

    Args:
        changed: The new values by address. None destroys the resource.
    """
    return document(
        *(
            item(
                resource.type,
                resource.label,
                resource.block,
                changed.get(resource.address, resource.block),
            )
            for resource in stack.resources.values()
        )
    )


def large_plan(stack: Synthesized, minimum: int = 500) -> Block:
    """Returns a plan with at least `minimum` changes, which changes each resource at least once."""
    plan = stack_plan(stack, {})
    entries = plan["resource_changes"]
    for number in range(max(minimum, len(entries))):
        entry = entries[number % len(stack.resources)]
        before, after = (
            entry["change"]["before"] or entry["change"]["after"],
            dict(entry["change"]["after"] or entry["change"]["before"]),
        )
        after["description"] = f"changed {number}"
        if "policy" in after:
            after["policy"] = after["policy"].replace("GetItem", "*")
        actions = (["update"], ["create"], ["delete"], ["delete", "create"])[number % 4]
        change = {
            **entry["change"],
            "actions": actions,
            "before": None if actions == ["create"] else before,
            "after": None if actions == ["delete"] else after,
        }
        address = f"{entry['address']}_{number}"
        entries[number : number + 1] = [{**entry, "address": address, "change": change}]
    return plan


def crowded_stack(number: int = 500) -> Synthesized:
    """Returns a stack in which each resource refers to three others.

    The architecture picture of the stack has a separate box for each resource.
    """
    random = Random(1)  # noqa: S311 - test data
    kinds = load_drawing().nodes
    types = [type_ for type_, kind in kinds.items() if not kind.folded]
    names = [(random.choice(types), f"service-{index}") for index in range(number)]
    resources = {}
    for type_, name in names:
        others = [f"${{{other}.{label}.arn}}" for other, label in random.sample(names, 3)]
        kind = kinds[type_]
        arguments = {str(kind.label): name, str(kind.where): name, "others": others}
        resource = Resource(type_, name, ConstructPath(f"{name}/main", name), arguments)
        resources[resource.address] = resource
    return Synthesized("crowded", "us-east-1", resources)


def crowded_plan(stack: Synthesized) -> Block:
    """Returns a plan that changes every third resource of a stack in one of several ways."""
    variants: list[Block | None] = [
        {"deletion_protection_enabled": False},
        {"tags": {"a": "b"}},
        None,
    ]
    changed: dict[str, Block | None] = {}
    for index, resource in enumerate(list(stack.resources.values())[::3]):
        new = variants[index % 3]
        changed[resource.address] = new and {**resource.block, **new}
    return stack_plan(stack, changed)
