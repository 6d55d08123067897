"""Finds resources that a plan recreates only because their construct path (address) changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import UNKNOWN, Sensitive, to_json_value

NAMES = (
    *("name", "bucket", "function_name", "cluster_identifier", "identifier"),
    *("replication_group_id", "user_group_id", "user_id", "domain_name", "alias"),
    *("dashboard_name", "alarm_name", "cidr_block", "id"),
)
"""Arguments that identify a resource among all resources of the same type."""
SIMILARITY = 0.9
"""Minimum fraction of equal values for two resources without a name to count as a rename."""
NAMED_SIMILARITY = 0.5
"""Minimum fraction of equal values for two resources with the same name to count as a rename."""
IGNORED = frozenset({"tags", "tags_all", "arn"})


@dataclass(frozen=True)
class Rename:
    """A resource whose address in the synthesized stack differs from its address in the state."""

    type: str
    before: str
    """The address in the state."""
    after: str
    """The address in the synthesized stack."""

    @property
    def moved_block(self) -> str:
        """The Terraform `moved` block that keeps the resource."""
        return f"moved {{\n  from = {self.before}\n  to   = {self.after}\n}}"

    @property
    def program(self) -> str:
        """The call in the Python program that generates the `moved` block."""
        return f"resource.move_from_id({self.before!r})"


def find_renames(changes: Iterable[Change]) -> list[Rename]:
    """Returns the renames among a plan's changes.

    Each destroyed and each created resource is part of at most one rename. The most similar pairs
    are matched first.
    """
    changes = [change for change in changes if not change.deposed]
    created: dict[tuple[str, str | None], list[_Candidate]] = {}
    for change in changes:
        if change.action is Action.CREATE:
            new = _Candidate.of(change, change.after)
            created.setdefault((change.type, new.name), []).append(new)
    pairs: list[tuple[float, str, str, str]] = []
    for change in changes:
        if change.action is Action.DESTROY:
            old = _Candidate.of(change, change.before)
            # A destroyed resource is compared with created resources of the same name, and with
            # those without a name.
            for name in [*old.names, None]:
                for new in created.get((change.type, name), []):
                    similarity = _similarity(old, new)
                    if similarity is not None:
                        pairs.append((-similarity, old.address, new.address, change.type))
    renames: list[Rename] = []
    used: set[str] = set()
    for _, before, after, type_ in sorted(pairs):
        if before not in used and after not in used:
            used |= {before, after}
            renames.append(Rename(type_, before, after))
    return sorted(renames, key=lambda rename: rename.before)


@dataclass(frozen=True)
class _Candidate:
    """A destroyed or created resource.

    Its known values are converted to texts, which are fast to compare.
    """

    address: str
    name: str | None
    """The identifying argument and its value, or None."""
    names: frozenset[str]
    """All arguments in NAMES that the resource has, with their values."""
    values: frozenset[tuple[str, str]]

    @staticmethod
    def of(change: Change, values: Mapping[str, Any]) -> _Candidate:
        known = {
            key: value for key, value in values.items() if key not in IGNORED and _is_known(value)
        }
        named = [f"{key}={known[key]}" for key in NAMES if isinstance(known.get(key), str)]
        texts = (
            (key, json.dumps(to_json_value(value), sort_keys=True, default=str))
            for key, value in known.items()
        )
        return _Candidate(
            change.address, named[0] if named else None, frozenset(named), frozenset(texts)
        )


def _similarity(old: _Candidate, new: _Candidate) -> float | None:
    """Returns the fraction of equal values, plus 1 if the names are equal.

    Returns None if the resources are too different.
    """
    if not new.values:
        return None
    same = len(old.values & new.values) / len(new.values)
    if new.name:
        return same + 1 if new.name in old.names and same >= NAMED_SIMILARITY else None
    return same if same >= SIMILARITY else None


def _is_known(value: Any) -> bool:
    if value is UNKNOWN or isinstance(value, Sensitive) or value is None or value in ("", [], {}):
        return False
    if isinstance(value, Mapping):
        return all(_is_known(item) or item in (None, "", [], {}) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_is_known(item) or item in (None, "", [], {}) for item in value)
    return True
