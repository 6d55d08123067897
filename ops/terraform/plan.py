"""Reads the plan that `terraform show -json` writes. Sensitive values are masked."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from environments.resource_names import DEFAULT_REGION
from ops.errors import OperatorError
from ops.terraform.plan_values import UNKNOWN, Difference, covered, differences

FORMAT = "1."
"""Format version of `terraform show -json`. Within a major version, fields are only added."""
MIRRORED = ("tags_all",)
"""Attributes that repeat another attribute."""


class Action(enum.StrEnum):
    """What a plan does to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DESTROY = "destroy"
    FORGET = "forget"
    """Removes the resource from the state but does not destroy it."""
    MOVE = "move"
    """Gives the resource a new address, by a `moved` block."""
    NONE = "no-op"

    @property
    def past(self) -> str:
        """The past participle for summaries, for example `created`."""
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
    """Current values. Empty if it is created. Sensitive values are masked."""
    after: Mapping[str, Any]
    """Planned values. Empty if it is destroyed. Sensitive and unknown values are masked."""
    forced_by: tuple[str, ...] = ()
    """Attributes that cannot be updated in place and therefore force a replacement."""
    moved_from: str | None = None

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Attributes that change to a known value. All attributes for a creation or destruction."""
        return tuple(item for item in self._all_differences if item.after is not UNKNOWN)

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """Attributes whose new value is known only after the apply."""
        return tuple(item.path for item in self._all_differences if item.after is UNKNOWN)

    @cached_property
    def _all_differences(self) -> list[Difference]:
        items = differences(self.before or None, self.after or None)
        return [item for item in items if item.path.partition(".")[0] not in MIRRORED]

    @property
    def tags(self) -> Mapping[str, Any]:
        """Its planned tags, or its current tags if it is destroyed."""
        tags = self.after.get("tags") or self.before.get("tags")
        return tags if isinstance(tags, Mapping) else {}


@dataclass(frozen=True)
class Plan:
    """A plan's changes."""

    terraform_version: str
    made: str | None
    """Creation time in RFC 3339 format."""
    resources: tuple[Change, ...]
    """All managed resources, including unchanged ones."""
    outputs: tuple[str, ...]
    """Outputs that change."""
    drifted: tuple[str, ...]
    """Resources that were changed outside Terraform since the last apply."""
    region: str

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The resources that the plan changes."""
        return tuple(change for change in self.resources if change.action is not Action.NONE)


def read_plan(document: Mapping[str, Any]) -> Plan:
    """Reads a plan.

    Args:
        document: The output of `terraform show -json PLAN`.

    Raises:
        OperatorError: The document is not a plan, or the plan is incomplete.
    """
    version = document.get("format_version")
    if not isinstance(version, str) or "planned_values" not in document:
        raise OperatorError(
            "The file is not a plan: use a file that `terraform plan -out` wrote, or the output of"
            " `terraform show -json` for it"
        )
    if not version.startswith(FORMAT):
        raise OperatorError(
            f"The plan's format version {version} is not supported, only {FORMAT}x: use Terraform"
            " 1.11 or a newer 1.x"
        )
    if document.get("errored"):
        raise OperatorError(
            "The plan is incomplete because planning failed. Run `terraform plan` again"
        )
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
        provider.get("expressions", {}).get("region", {}).get("constant_value") or DEFAULT_REGION
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
        OperatorError: The file does not exist or does not contain a plan.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OperatorError(f"The plan {file} does not exist") from error
    except ValueError as error:
        raise OperatorError(
            f"{file} is not a plan in JSON: use the output of `terraform show -json PLAN`"
        ) from error
    return read_plan(document)
