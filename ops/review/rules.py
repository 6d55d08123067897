"""Determines the verdict on a change from the rules in rules.yml."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import UNKNOWN, Sensitive, shown, values_at
from ops.terraform.policies import Comparison, Grant

FILE = Path(__file__).with_name("rules.yml")


class Verdict(enum.IntEnum):
    """How severe a change is. The most severe verdict of all changes is the plan's."""

    SAFE = 0
    REVIEW = 1
    DANGEROUS = 2
    IRREVERSIBLE = 3

    def __str__(self) -> str:
        return self.name.lower()

    @staticmethod
    def named(name: str) -> Verdict:
        """Returns the verdict with a name, as written in rules and command options."""
        return Verdict[name.upper()]


VerdictName = Literal["safe", "review", "dangerous", "irreversible"]
Becoming = Literal["changed", "lowered", "raised", "turned_off", "turned_on", "removed", "fewer"]
PolicyChange = Literal[
    "public",
    "gives_permissions",
    "wildcard",
    "wider",
    "narrower",
    "undenied",
    "denied",
    "unknown",
    "same",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """One rule. rules.yml documents the fields."""

    id: str
    verdict: VerdictName
    text: str
    types: frozenset[str] = frozenset()
    actions: frozenset[Action] = frozenset({Action.UPDATE, Action.REPLACE})
    attribute: str | None = None
    becomes: Becoming | tuple[Any, ...] | None = None
    unlimited: float | None = None
    policy: PolicyChange | None = None
    only: bool = False

    @model_validator(mode="after")
    def _check_fields(self) -> Rule:
        if (self.attribute is None) != (self.becomes is None):
            raise ValueError(f"Rule {self.id} must have both `attribute` and `becomes`, or neither")
        if self.attribute and self.policy:
            raise ValueError(f"Rule {self.id} has both `attribute` and `policy`: use only one")
        return self


class Otherwise(_Strict):
    """The verdict on a change that no rule matches."""

    verdict: VerdictName
    text: str


class Rules(_Strict):
    """The contents of rules.yml."""

    type_sets: Mapping[str, frozenset[str]]
    otherwise: Mapping[Action, Otherwise]
    rules: tuple[Rule, ...]

    @model_validator(mode="before")
    @classmethod
    def _named_sets(cls, document: dict[str, Any]) -> dict[str, Any]:
        sets = document["type_sets"]
        rules = [
            {**rule, "types": sets[rule["types"]]} if isinstance(rule.get("types"), str) else rule
            for rule in document["rules"]
        ]
        return {**document, "rules": rules}


@dataclass(frozen=True)
class Reason:
    """A reason for the verdict on a change."""

    rule: str
    verdict: Verdict
    text: str


@functools.cache
def load_rules(file: Path = FILE) -> Rules:
    """Returns the rules of a file (default: the project's rules.yml)."""
    return Rules.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def judge(change: Change, policies: Sequence[Comparison], rules: Rules) -> list[Reason]:
    """Returns the reasons for the verdict on a change, the most severe first. Never empty.

    Args:
        policies: comparisons of the policies that the change modifies.
    """
    reasons = [reason for rule in rules.rules for reason in _reasons(rule, change, policies)]
    if not reasons:
        otherwise = rules.otherwise[change.action]
        reasons = [Reason("otherwise", Verdict.named(otherwise.verdict), otherwise.text)]
    unique = dict.fromkeys(reasons)
    return sorted(unique, key=lambda reason: -reason.verdict)


def _reasons(rule: Rule, change: Change, policies: Sequence[Comparison]) -> Iterable[Reason]:
    if change.action not in rule.actions or (rule.types and change.type not in rule.types):
        return
    verdict = Verdict.named(rule.verdict)
    if rule.policy:
        for policy in policies:
            holds, grants = _POLICY[rule.policy](policy)
            if holds and _condition_only(rule, change, policy.attribute):
                yield Reason(rule.id, verdict, rule.text.format(grants="; ".join(map(str, grants))))
    elif rule.attribute:
        before, after = (
            values_at(change.before, rule.attribute),
            values_at(change.after, rule.attribute),
        )
        if _becomes(rule, before, after) and _condition_only(rule, change, rule.attribute):
            yield Reason(
                rule.id, verdict, rule.text.format(before=_text(before), after=_text(after))
            )
    else:
        yield Reason(rule.id, verdict, rule.text)


def _condition_only(rule: Rule, change: Change, attribute: str) -> bool:
    if not rule.only:
        return True
    return not change.forced_by and all(
        item.path == attribute or item.path.startswith((f"{attribute}.", f"{attribute}["))
        for item in change.differences
    )


def _text(values: Sequence[Any]) -> str:
    return ", ".join(str(shown(value)) for value in values) or "none"


def _becomes(rule: Rule, before: Sequence[Any], after: Sequence[Any]) -> bool:
    if any(value is UNKNOWN or isinstance(value, Sensitive) for value in [*before, *after]):
        return rule.becomes == "changed" and list(before) != list(after) and UNKNOWN not in after
    if isinstance(rule.becomes, tuple):
        return any(value in rule.becomes and value not in before for value in after)
    if rule.becomes in {"lowered", "raised"}:
        old, new = _numbers(before, rule.unlimited), _numbers(after, rule.unlimited)
        if old is None or new is None:
            return False
        return new < old if rule.becomes == "lowered" else new > old
    return _CHANGES[str(rule.becomes)](list(before), list(after))


_CHANGES: dict[str, Callable[[list[Any], list[Any]], bool]] = {
    "changed": lambda before, after: before != after,
    "removed": lambda before, after: any(before) and not any(after),
    "turned_off": lambda before, after: (
        (any(map(_is_off, after)) and not any(map(_is_off, before)))
        or (any(map(_is_on, before)) and not after)
    ),
    "turned_on": lambda before, after: any(map(_is_on, after)) and not any(map(_is_on, before)),
    "fewer": lambda before, after: any(value not in after for value in before),
}


def _is_on(value: Any) -> bool:
    """Returns True for true and for `"true"`, which some provider arguments use."""
    return value is True or value == "true"


def _is_off(value: Any) -> bool:
    return value is False or value == "false"


def _numbers(values: Sequence[Any], unlimited: float | None) -> float | None:
    """Returns the smallest number among the values, or None if there is no number."""
    numbers = [
        value for value in values if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return min(
        (float("inf") if number == unlimited else float(number) for number in numbers), default=None
    )


def _if_any(grants: Iterable[Grant]) -> tuple[bool, list[Grant]]:
    chosen = list(grants)
    return bool(chosen), chosen


_POLICY: dict[str, Callable[[Comparison], tuple[bool, list[Grant]]]] = {
    "public": lambda policy: _if_any(grant for grant in policy.wider if grant.public),
    "gives_permissions": lambda policy: _if_any(
        grant for grant in policy.wider if grant.gives_permissions
    ),
    "wildcard": lambda policy: _if_any(grant for grant in policy.wider if grant.wildcard),
    "wider": lambda policy: _if_any(policy.wider),
    "narrower": lambda policy: _if_any(policy.narrower),
    "undenied": lambda policy: _if_any(policy.undenied),
    "denied": lambda policy: _if_any(policy.denied),
    "unknown": lambda policy: (policy.unknown, []),
    "same": lambda policy: (policy.same, []),
}
