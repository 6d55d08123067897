"""Plans as `terraform show -json` writes them, made from a synthesized stack without Terraform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.synthesized import Synthesized

Block = dict[str, Any]


def item(type_: str, label: str, before: Block | None, after: Block | None, **change: Any) -> Block:
    """One entry of `resource_changes`."""
    actions = (
        ["create"] if before is None else ["delete"] if after is None else ["update"] if before != after else ["no-op"]
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
            item(resource.type, resource.label, resource.block, changed.get(resource.address, resource.block))
            for resource in stack.resources.values()
        )
    )
