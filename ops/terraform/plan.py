"""A plan as `terraform show -json` writes it, read into changes that hold nothing that may not be shown."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.errors import OperatorError
from ops.terraform.plan_values import UNKNOWN, Difference, covered, differences

FORMAT = "1."
"""Of `terraform show -json`: within a major version fields are only added."""
MIRRORED = ("tags_all",)
"""Attributes that repeat another one."""


class Action(enum.StrEnum):
    """What a plan does to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DESTROY = "destroy"
    FORGET = "forget"
    """Removed from the state; the thing itself stays."""
    MOVE = "move"
    """A new address for the same thing, by a `moved` block."""
    NONE = "no-op"

    @property
    def past(self) -> str:
        """As a summary says it."""
        return {
            "create": "created",
            "update": "changed",
            "replace": "replaced",
            "destroy": "destroyed",
            "forget": "forgotten",
        }.get(self.value, "moved" if self is Action.MOVE else "unchanged")


_ACTIONS = {
    ("create",): Action.CREATE,
    ("update",): Action.UPDATE,
    ("delete",): Action.DESTROY,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
    ("forget",): Action.FORGET,
    ("no-op",): Action.NONE,
}


@dataclass(frozen=True)
class Change:
    """What a plan does to one resource."""

    address: str
    type: str
    action: Action
    before: Mapping[str, Any]
    """Its values now; empty when it is created. Sensitive ones are covered."""
    after: Mapping[str, Any]
    """Its values afterwards; empty when it is destroyed. Sensitive and unknown ones are covered."""
    forced_by: tuple[str, ...] = ()
    """The attributes that cannot change in place, so that they force a replacement."""
    moved_from: str | None = None

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Attributes that change to a value that is known. All of them when it is created or destroyed."""
        return tuple(item for item in self._all_differences if item.after is not UNKNOWN)

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """Attributes whose value is known only after the apply."""
        return tuple(item.path for item in self._all_differences if item.after is UNKNOWN)

    @cached_property
    def _all_differences(self) -> list[Difference]:
        found = list(differences(self.before or None, self.after or None))
        return [item for item in found if item.path.partition(".")[0] not in MIRRORED]

    @property
    def tags(self) -> Mapping[str, Any]:
        """Its tags, afterwards or, when it is destroyed, now."""
        tags = self.after.get("tags") or self.before.get("tags")
        return tags if isinstance(tags, Mapping) else {}


@dataclass(frozen=True)
class Plan:
    """A plan's changes."""

    terraform_version: str
    made: str | None
    """When, as RFC 3339."""
    resources: tuple[Change, ...]
    """Every managed resource, those that stay as they are among them."""
    outputs: tuple[str, ...]
    """Outputs that change."""
    drifted: tuple[str, ...]
    """Resources that somebody changed outside Terraform since the last apply."""
    region: str

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The resources that something happens to."""
        return tuple(change for change in self.resources if change.action is not Action.NONE)


def read_plan(document: Mapping[str, Any]) -> Plan:
    """Reads a plan.

    Args:
        document: what `terraform show -json PLAN` writes.

    Raises:
        OperatorError: it is no plan, or one that is not whole.
    """
    version = document.get("format_version")
    if not isinstance(version, str) or "planned_values" not in document:
        raise OperatorError(
            "That is no plan: give a file of `terraform plan -out`, or what `terraform show -json` writes of it"
        )
    if not version.startswith(FORMAT):
        raise OperatorError(
            f"The plan's format is {version}, and {FORMAT}x is understood: use Terraform 1.11 or a newer 1.x"
        )
    if document.get("errored"):
        raise OperatorError("The plan is not whole, because planning failed: plan again")
    resources = [
        _change(item) for item in document.get("resource_changes", []) if item["mode"] == "managed"
    ]
    return Plan(
        terraform_version=document["terraform_version"],
        made=document.get("timestamp"),
        resources=tuple(sorted(resources, key=lambda change: change.address)),
        outputs=tuple(
            sorted(
                name
                for name, item in document.get("output_changes", {}).items()
                if item["actions"] != ["no-op"]
            )
        ),
        drifted=tuple(
            sorted(
                item["address"]
                for item in document.get("resource_drift", [])
                if item["mode"] == "managed"
            )
        ),
        region=_region(document),
    )


def _region(document: Mapping[str, Any]) -> str:
    provider = document.get("configuration", {}).get("provider_config", {}).get("aws", {})
    return str(
        provider.get("expressions", {}).get("region", {}).get("constant_value") or "us-east-1"
    )


def _change(item: Mapping[str, Any]) -> Change:
    change = item["change"]
    action = _ACTIONS[tuple(change["actions"])]
    moved_from = item.get("previous_address")
    if action is Action.NONE and moved_from:
        action = Action.MOVE
    return Change(
        address=item["address"],
        type=item["type"],
        action=action,
        before=covered(change.get("before"), change.get("before_sensitive")) or {},
        after=covered(
            change.get("after"), change.get("after_sensitive"), change.get("after_unknown")
        )
        or {},
        forced_by=tuple(dict.fromkeys(_path(path) for path in change.get("replace_paths", []))),
        moved_from=moved_from,
    )


def _path(parts: list[Any]) -> str:
    return ".".join(str(part) for part in parts if not isinstance(part, int))


def read_plan_file(file: Path) -> Plan:
    """Reads a plan's JSON from a file.

    Raises:
        OperatorError: there is no such file, or it holds no plan.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OperatorError(f"There is no plan {file}") from error
    except ValueError as error:
        raise OperatorError(
            f"{file} is not the JSON of a plan: give what `terraform show -json PLAN` writes"
        ) from error
    return read_plan(document)
