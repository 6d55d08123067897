"""Plans in the format of `terraform show -json`, built from a synthesized stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.terraform.stack_document import Synthesized

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


def document(*items: Block, **more: Any) -> Block:
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "planned_values": {},
        "resource_changes": list(items),
        **more,
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


def large_plan(stack: Synthesized, least: int = 500) -> Block:
    """Returns a plan that changes each resource at least once, in at least `least` changes."""
    plan = stack_plan(stack, {})
    entries = plan["resource_changes"]
    for number in range(max(least, len(entries))):
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
