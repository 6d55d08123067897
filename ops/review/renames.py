"""Finds resources that a plan destroys and recreates only because their construct path changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import UNKNOWN, Sensitive

NAMES = (
    *("name", "bucket", "function_name", "cluster_identifier", "identifier"),
    *("replication_group_id", "user_group_id", "user_id", "domain_name", "alias"),
    *("dashboard_name", "alarm_name", "cidr_block", "id"),
)
"""Arguments that identify a resource among those of its type."""
SIMILARITY = 0.9
"""The share of known values that must be equal for a resource without an identifying argument."""
NAMED_SIMILARITY = 0.5
"""The share if the identifying argument is equal. A move may change other arguments."""
IGNORED = frozenset({"tags", "tags_all", "arn"})


@dataclass(frozen=True)
class Rename:
    """A resource whose address in the program differs from the one in the state."""

    type: str
    before: str
    """The address in the state."""
    after: str
    """The address in the program."""

    @property
    def moved_block(self) -> str:
        """The Terraform `moved` block that keeps the resource."""
        return f"moved {{\n  from = {self.before}\n  to   = {self.after}\n}}"

    @property
    def program(self) -> str:
        """The call in the Python program that generates the `moved` block."""
        return f'resource.move_from_id("{self.before}")'


def find_renames(changes: Iterable[Change]) -> list[Rename]:
    """Returns the renames among a plan's changes.

    Each destroyed and each created resource is part of at most one rename. The most similar pairs
    are matched first.
    """
    changes = list(changes)
    created: dict[str, list[Change]] = {}
    for change in changes:
        if change.action is Action.CREATE:
            created.setdefault(change.type, []).append(change)
    candidates = sorted(
        (
            (-similarity, old.address, new.address, old.type)
            for old in changes
            if old.action is Action.DESTROY
            for new in created.get(old.type, [])
            if (similarity := _similarity(old.before, new.after)) is not None
        ),
    )
    renames, used = [], set()
    for _, before, after, type_ in candidates:
        if before not in used and after not in used:
            used |= {before, after}
            renames.append(Rename(type_, before, after))
    return sorted(renames, key=lambda rename: rename.before)


def _similarity(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """Returns the share of equal values, plus 1 for an equal name. None if they do not match."""
    known = {key: value for key, value in after.items() if key not in IGNORED and _is_known(value)}
    if not known:
        return None
    same = sum(before.get(key) == value for key, value in known.items()) / len(known)
    name = next((key for key in NAMES if isinstance(known.get(key), str) and known[key]), None)
    if name:
        return same + 1 if before.get(name) == known[name] and same >= NAMED_SIMILARITY else None
    return same if same >= SIMILARITY else None


def _is_known(value: Any) -> bool:
    if value is UNKNOWN or isinstance(value, Sensitive) or value is None or value in ("", [], {}):
        return False
    if isinstance(value, Mapping):
        return all(_is_known(item) or item in (None, "", [], {}) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_is_known(item) or item in (None, "", [], {}) for item in value)
    return True
