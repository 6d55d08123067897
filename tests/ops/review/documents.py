"""Plans as `terraform show -json` writes them, made from a synthesized stack without Terraform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.terraform.stack_document import Synthesized

Block = dict[str, Any]


def item(type_: str, label: str, before: Block | None, after: Block | None, **change: Any) -> Block:
    """One entry of `resource_changes`."""
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
    """A plan."""
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "planned_values": {},
        "resource_changes": list(items),
        **more,
    }


def of_stack(stack: Synthesized, changed: Mapping[str, Block | None]) -> Block:
    """A plan that leaves a stack as it is, but for some resources.

    Args:
        changed: what each becomes, by address; None: it is destroyed.
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


def large(stack: Synthesized, least: int = 500) -> Block:
    """A plan that does something to every resource of a stack, and to some of them again until there are enough."""
    plan = of_stack(stack, {})
    entries = plan["resource_changes"]
    for number in range(max(least, len(entries))):
        found = entries[number % len(stack.resources)]
        before, after = (
            found["change"]["before"] or found["change"]["after"],
            dict(found["change"]["after"] or found["change"]["before"]),
        )
        after["description"] = f"changed {number}"
        if "policy" in after:
            after["policy"] = after["policy"].replace("GetItem", "*")
        actions = (["update"], ["create"], ["delete"], ["delete", "create"])[number % 4]
        change = {
            **found["change"],
            "actions": actions,
            "before": None if actions == ["create"] else before,
            "after": None if actions == ["delete"] else after,
        }
        made = {**found, "address": f"{found['address']}_{number}", "change": change}
        entries[number : number + 1] = [made]
    return plan
