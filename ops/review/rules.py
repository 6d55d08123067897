"""Determines the verdict on a change from the rules in rules.yml."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from ops.review.checks import CHECKS
from ops.review.context import Context
from ops.review.values import BECOMES, is_hidden
from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import Difference, to_json_value
from ops.terraform.policies import Comparison, Grant
from ops.terraform.provider_types import computed_attributes, is_known, is_stateful

FILE = Path(__file__).with_name("rules.yml")


class Verdict(enum.IntEnum):
    """The severity of a change. A plan's verdict is the most severe verdict of its changes."""

    SAFE = 0
    REVIEW = 1
    DANGEROUS = 2
    IRREVERSIBLE = 3

    def __str__(self) -> str:
        return self.name.lower()

    @staticmethod
    def named(name: str) -> Verdict:
        """Returns the verdict that a rule or a command option names, for example `safe`."""
        return Verdict[name.upper()]


STATE_ONLY = frozenset({Action.MOVE})
"""Actions that change only the state, so they are safe for all types."""
VerdictName = Literal["safe", "review", "dangerous", "irreversible"]
Becoming = Literal[
    "changed", "lowered", "raised", "turned_off", "turned_on", "stopped", "removed", "fewer",
    "appears", "weaker_tls", "weaker_transport", "weaker_encryption", "wider_commands", "published",
    "without_sign_in", "upgraded",
]  # fmt: skip
PolicyChange = Literal[
    "public", "gives_permissions", "wildcard", "wider", "narrower", "undenied", "denied", "unknown",
    "undecided", "same",
]  # fmt: skip
CheckName = Literal[
    "attached_permissions", "attached_policies", "broad_boundary", "created_only", "deletes_more",
    "deposed", "imported", "indexes", "locked_key", "opened", "opened_to_unknown", "parent_is_new",
    "sensitivity",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """One rule of rules.yml. Comments in that file describe the fields."""

    id: str
    verdict: VerdictName
    text: str
    types: frozenset[str] = frozenset()
    except_types: frozenset[str] = frozenset()
    actions: frozenset[Action] = frozenset({Action.UPDATE, Action.REPLACE})
    attribute: str | None = None
    attributes: re.Pattern[str] | None = None
    paths: re.Pattern[str] | None = None
    becomes: Becoming | tuple[Any, ...] | None = None
    order: tuple[str, ...] | None = None
    unlimited: float | None = None
    absent: Literal["unlimited"] | None = None
    policy: PolicyChange | None = None
    check: CheckName | None = None
    unless: Mapping[str, tuple[Any, ...]] = {}
    general: bool = False
    deposed: bool = False
    only: bool = False

    @model_validator(mode="after")
    def _check_fields(self) -> Rule:
        places = [item for item in (self.attribute, self.attributes, self.paths) if item]
        becoming = [item for item in (self.becomes, self.order) if item]
        if len(places) > 1 or len(places) != len(becoming):
            raise ValueError(
                f"Rule {self.id} must have exactly one of `attribute`, `attributes` and `paths` and"
                " exactly one of `becomes` and `order`, or none of these five fields"
            )
        if len([item for item in (places, self.policy, self.check) if item]) > 1:
            raise ValueError(f"Rule {self.id} must have only one of attribute, policy and check")
        return self

    def is_for(self, type_: str, action: Action, deposed: bool) -> bool:
        """Returns True if the rule applies to a type and an action."""
        # SUPERSEDE means that Terraform creates a new object and forgets the old one. Rules for
        # updates then apply too.
        actions = {action, Action.UPDATE} if action is Action.SUPERSEDE else {action}
        return (
            bool(actions & self.actions)
            and (not deposed or self.deposed)
            and (not self.types or _matches(type_, self.types))
            and not _matches(type_, self.except_types)
        )

    def is_excused(self, change: Change) -> bool:
        """Returns True if the change has a value listed in `unless`, so the rule does not apply."""
        return any(change.after.get(key) in values for key, values in self.unless.items())

    def matches(self, difference: Difference) -> bool:
        """Returns True if the rule is for this attribute and this kind of change of its value."""
        if self.attribute is not None:
            inside = self.becomes == "changed" and difference.is_at(self.attribute)
            if not inside and difference.attribute != self.attribute:
                return False
        elif self.attributes is not None:
            if not self.attributes.search(difference.attribute):
                return False
        elif self.paths is None or not self.paths.search(difference.path):
            return False
        return self._becomes(difference.before, difference.after)

    def _becomes(self, before: Any, after: Any) -> bool:
        if is_hidden(before) or is_hidden(after):
            return self.becomes == "changed"
        if self.order:
            return _is_weaker(self.order, before, after)
        if isinstance(self.becomes, tuple):
            old, new = _items(before), _items(after)
            return any(value in self.becomes and value not in old for value in new)
        if self.becomes in {"lowered", "raised"}:
            old_number, new_number = self._number(before), self._number(after)
            if old_number is None or new_number is None:
                return False
            return new_number < old_number if self.becomes == "lowered" else new_number > old_number
        return BECOMES[str(self.becomes)](before, after)

    def _number(self, value: Any) -> float | None:
        if value is None:
            return float("inf") if self.absent else None
        if isinstance(value, str):
            value = float(value) if re.fullmatch(r"-?\d+(\.\d+)?", value) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float("inf") if value == self.unlimited else float(value)


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

        def resolved(rule: dict[str, Any]) -> dict[str, Any]:
            named: dict[str, Any] = {
                key: [type_ for name in _items(rule[key]) for type_ in sets.get(name, [name])]
                for key in ("types", "except_types")
                if key in rule
            }
            return {**rule, **named}

        return {**document, "rules": [resolved(rule) for rule in document["rules"]]}


@dataclass(frozen=True)
class Reason:
    """A reason for the verdict on a change."""

    rule: str
    verdict: Verdict
    text: str


@functools.cache
def load_rules(file: Path = FILE) -> Rules:
    """Returns the rules of a file (default: the project's rules.yml)."""
    # PyYAML's loader in C is ten times faster, but some builds of PyYAML do not include it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - it is safe
    return Rules.model_validate(document)


class Judge:
    """Applies rules to changes. Caches the rules that apply to each type and action."""

    def __init__(self, rules: Rules, context: Context | None = None) -> None:
        self._rules = rules
        self._context = context or Context()
        self._selected: dict[tuple[str, Action, bool], list[Rule]] = {}

    def reasons(self, change: Change, policies: Sequence[Comparison]) -> list[Reason]:
        """Returns the reasons for the verdict on a change, the most severe first. Never empty.

        Args:
            policies: comparisons of the policies that the change modifies.
        """
        reasons: list[Reason] = []
        explained: set[str] = set()
        for rule in self._rules_for(change):
            if rule.is_excused(change):
                continue
            found = [
                item
                for item in (change.differences if rule.becomes or rule.order else ())
                if rule.matches(item) and not (rule.general and item.path in explained)
            ]
            if Verdict.named(rule.verdict) >= Verdict.DANGEROUS:
                explained |= {item.path for item in found}
            reasons += _reasons(rule, change, found, policies, self._context)
        if not reasons:
            otherwise = self._rules.otherwise[change.action]
            reasons = [Reason("otherwise", Verdict.named(otherwise.verdict), otherwise.text)]
        return sorted(dict.fromkeys(reasons), key=lambda reason: -reason.verdict)

    def _rules_for(self, change: Change) -> list[Rule]:
        key = (change.type, change.action, bool(change.deposed))
        if key not in self._selected:
            # The effect of a change to a resource of an unknown type is unknown, so no rule may
            # make the change safe.
            earned = is_known(change.type) or change.action in STATE_ONLY
            chosen = [
                rule
                for rule in self._rules.rules
                if rule.is_for(*key) and (earned or rule.verdict != "safe")
            ]
            self._selected[key] = sorted(chosen, key=lambda rule: rule.general)
        return self._selected[key]


def judge(change: Change, policies: Sequence[Comparison], rules: Rules) -> list[Reason]:
    """Returns the reasons for the verdict on a single change, the most severe first."""
    return Judge(rules).reasons(change, policies)


def _reasons(
    rule: Rule,
    change: Change,
    found: Sequence[Difference],
    policies: Sequence[Comparison],
    context: Context,
) -> Iterator[Reason]:
    verdict = Verdict.named(rule.verdict)
    if rule.policy:
        for policy in policies:
            holds, details = _POLICY[rule.policy](policy)
            if holds and _meets_only(rule, change, policy.attribute):
                yield Reason(
                    rule.id, verdict, rule.text.format(grants="; ".join(map(str, details)))
                )
    elif rule.check:
        for detail in CHECKS[rule.check](change, context):
            yield Reason(rule.id, verdict, rule.text.format(detail=detail))
    elif rule.becomes or rule.order:
        if found and _meets_only(rule, change, rule.attribute or rule.attributes):
            # A rule that matches any change of the attribute yields one reason, even if several
            # parts of the attribute change.
            shortened = found[:1] if rule.becomes == "changed" else found
            for item in shortened:
                yield Reason(
                    rule.id,
                    verdict,
                    rule.text.format(
                        before=_text(item.before), after=_text(item.after), path=item.path
                    ),
                )
    else:
        yield Reason(rule.id, verdict, rule.text)


def _meets_only(rule: Rule, change: Change, attribute: str | re.Pattern[str] | None) -> bool:
    if not rule.only:
        return True
    if change.forced_by or attribute is None:
        return False
    computed = computed_attributes(change.type)
    return all(
        any(item.is_at(name) for name in computed) for item in change.unknown_differences
    ) and all(
        item.is_at(attribute) if isinstance(attribute, str) else attribute.search(item.attribute)
        for item in change.differences
    )


def _matches(type_: str, patterns: frozenset[str]) -> bool:
    """Returns True if the patterns contain the type.

    A pattern with `*` matches only types that the provider's schema contains and that hold no data
    (see `is_stateful`). A pattern that starts with `!` excludes the types that it matches.
    """
    if type_ in patterns:
        return True
    if not is_known(type_) or is_stateful(type_) or f"!{type_}" in patterns:
        return False
    return any("*" in pattern and fnmatchcase(type_, pattern) for pattern in patterns)


def _text(value: Any) -> str:
    return ", ".join(str(to_json_value(item)) for item in _items(value)) or "none"


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _is_weaker(order: Sequence[str], before: Any, after: Any) -> bool:
    """Returns True if a value is removed or becomes weaker.

    Args:
        order: The possible values, from the strongest to the weakest.
    """
    ranks = {name.lower(): rank for rank, name in enumerate(order)}
    old, new = (str(value).lower() if value else None for value in (before, after))
    if old is None or old not in ranks or ranks[old] == len(order) - 1:
        return False
    return new is None or (new in ranks and ranks[new] > ranks[old])


def _if_any(grants: Iterable[Grant | str]) -> tuple[bool, list[Grant | str]]:
    chosen = list(grants)
    return bool(chosen), chosen


_POLICY: dict[str, Callable[[Comparison], tuple[bool, list[Grant | str]]]] = {
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
    "undecided": lambda policy: _if_any(policy.undecided),
    "same": lambda policy: (policy.same, []),
}
