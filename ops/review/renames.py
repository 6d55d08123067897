"""Things that a plan would destroy and make again only because their place in the program changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import UNKNOWN, Sensitive

NAMES = (
    "name", "bucket", "function_name", "cluster_identifier", "identifier", "replication_group_id", "user_group_id", "user_id",
    "domain_name", "alias", "dashboard_name", "alarm_name", "cidr_block", "id",
)  # fmt: skip
"""Arguments by which AWS tells things of one type apart."""
ALIKE = 0.9
"""Share of a resource's known values that must be the same where it has no name of its own."""
NAMED_ALIKE = 0.5
"""The same where the name is: other arguments may change with a move."""
IGNORED = frozenset({"tags", "tags_all", "arn"})


@dataclass(frozen=True)
class Rename:
    """A resource that has another address in the new program and is otherwise the same."""

    type: str
    before: str
    """The address in the state."""
    after: str
    """The address in the program."""

    @property
    def moved_block(self) -> str:
        """What tells Terraform so."""
        return f"moved {{\n  from = {self.before}\n  to   = {self.after}\n}}"

    @property
    def program(self) -> str:
        """The same in the program: a call on the construct's resource."""
        return f'resource.move_from_id("{self.before}")'


def find_renames(changes: Iterable[Change]) -> list[Rename]:
    """The renames among a plan's changes. Each destroyed and each created resource is part of one at most, the most alike first."""
    changes = list(changes)
    created: dict[str, list[Change]] = {}
    for change in changes:
        if change.action is Action.CREATE:
            created.setdefault(change.type, []).append(change)
    candidates = sorted(
        (
            (-likeness, old.address, new.address, old.type)
            for old in changes
            if old.action is Action.DESTROY
            for new in created.get(old.type, [])
            if (likeness := _likeness(old.before, new.after)) is not None
        ),
    )
    renames, used = [], set()
    for _, before, after, type_ in candidates:
        if before not in used and after not in used:
            used |= {before, after}
            renames.append(Rename(type_, before, after))
    return sorted(renames, key=lambda rename: rename.before)


def _likeness(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """How alike two resources are, from 0 to 1; None where they are not the same thing."""
    known = {key: value for key, value in after.items() if key not in IGNORED and _is_known(value)}
    if not known:
        return None
    same = sum(before.get(key) == value for key, value in known.items()) / len(known)
    name = next((key for key in NAMES if isinstance(known.get(key), str) and known[key]), None)
    if name:
        return same + 1 if before.get(name) == known[name] and same >= NAMED_ALIKE else None
    return same if same >= ALIKE else None


def _is_known(value: Any) -> bool:
    if value is UNKNOWN or isinstance(value, Sensitive) or value is None or value in ("", [], {}):
        return False
    if isinstance(value, Mapping):
        return all(_is_known(item) or item in (None, "", [], {}) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_is_known(item) or item in (None, "", [], {}) for item in value)
    return True
