"""Groups similar changes of a review, and describes each group in a sentence."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ops.review.nouns import noun
from ops.review.review import Review, ReviewedChange
from ops.review.rules import Reason, Verdict
from ops.review.words import value_text
from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import Difference

CHANGING = frozenset({Action.UPDATE, Action.REPLACE, Action.SUPERSEDE})
"""Changes with these actions are compared by attribute. Creations are not, because new resources
always differ, at least in their names."""
ATTRIBUTES_SHOWN = 3
"""Maximum number of attributes that a sentence names."""
LONGEST_IN_SENTENCE = 40
"""Maximum characters of a value in a sentence. A sentence omits longer values."""
PHRASES = {
    ("aws_cloudwatch_log_group", "retention_in_days"): ("keep", "{after} days instead of {before}"),
    ("aws_lambda_function", "memory_size"): ("get", "{after} MB of memory instead of {before}"),
    ("aws_lambda_function", "timeout"): ("time", "out after {after} s instead of {before}"),
}
"""The verb and the object of a sentence about a changed number with a unit, by resource type and
attribute. They are not used if the old or the new number is 0, because 0 has special meanings."""


@dataclass(frozen=True)
class Alike:
    """A group of similar changes: same resource type, same action, verdicts from the same rules.

    Updates and replacements in a group change the same attributes. They also have equal old values
    and equal new values, unless `same_values` is False.
    """

    changes: tuple[ReviewedChange, ...]
    same_values: bool = True
    """False if the changes of the group are safe but have different values.

    For example, changes to the code of several Lambda functions.
    """

    @property
    def _first(self) -> Change:
        return self.changes[0].change

    @property
    def action(self) -> Action:
        return self._first.action

    @property
    def verdict(self) -> Verdict:
        return self.changes[0].verdict

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons of all changes without duplicates, the most severe first."""
        reasons = dict.fromkeys(reason for item in self.changes for reason in item.reasons)
        return tuple(sorted(reasons, key=lambda reason: -reason.verdict))

    @property
    def subject(self) -> str:
        """The resources, for example `16 CloudWatch log groups`.

        If the group has only one resource, its type and its construct path.
        """
        if len(self.changes) == 1:
            return f"{self._deposed}{noun(self._first.type, 1)} {self.changes[0].construct.path}"
        return f"{len(self.changes)} {self._deposed}{noun(self._first.type, len(self.changes))}"

    @property
    def _deposed(self) -> str:
        return "deposed " if self._first.deposed else ""

    @property
    def predicate(self) -> str:
        """What happens to the resources, for example `keep 7 days instead of 14`."""
        several = len(self.changes) > 1
        change = self._first
        be = "are" if several else "is"
        if change.action is Action.REPLACE:
            forced = ", ".join(change.forced_by[:ATTRIBUTES_SHOWN])
            return f"{be} replaced" + (f" because of {forced}" if forced else "")
        if change.action is not Action.UPDATE:
            return f"{be} {change.action.past_participle}"
        imported = f"{be} imported and " if change.imported else ""
        if self.same_values and len(change.differences) == 1 and not change.unknown:
            [difference] = change.differences
            phrase = PHRASES.get((change.type, difference.path))
            if phrase and all(
                isinstance(value, int | float) and value > 0
                for value in (difference.before, difference.after)
            ):
                verb, rest = phrase
                values = {"before": difference.before, "after": difference.after}
                return f"{imported}{_verb(verb, several)} {rest.format(**values)}"
        parts = [self._part(difference) for difference in change.differences]
        parts += [f"{path} (known after apply)" for path in change.unknown]
        if not parts:
            return f"{imported}{be} changed"
        return f"{imported}{_verb('change', several)} {_listed(parts)}"

    @property
    def sentence(self) -> str:
        """The group as a sentence: `16 CloudWatch log groups keep 7 days instead of 14`."""
        return f"{self.subject} {self.predicate}"

    @property
    def why(self) -> str:
        """The reasons for the group's verdict in one line. Omits reasons for less severe verdicts.

        If a rule has a different text for each change, shows the beginning that these texts share,
        or the first text and the number of the other texts.
        """
        by_rule: dict[str, list[str]] = {}
        for reason in self.reasons:
            if reason.verdict is self.verdict:
                by_rule.setdefault(reason.rule, []).append(reason.text)
        shared = all(item.reasons == self.changes[0].reasons for item in self.changes)
        if shared:
            return "; ".join(text for texts in by_rule.values() for text in texts)
        return "; ".join(map(_in_common, by_rule.values()))

    def why_of(self, item: ReviewedChange) -> str:
        """The reasons for the verdict on one change, or "" if they equal the group's reasons."""
        texts = [reason.text for reason in item.reasons if reason.verdict is self.verdict]
        return "" if "; ".join(texts) == self.why else "; ".join(texts)

    def _part(self, difference: Difference) -> str:
        before, after = (value_text(value) for value in (difference.before, difference.after))
        is_short = max(len(before), len(after)) <= LONGEST_IN_SENTENCE and before != after
        path = difference.path
        name = path if len(path) <= LONGEST_IN_SENTENCE else f"…{path.rpartition('.')[2]}"
        return f"{name} from {before} to {after}" if self.same_values and is_short else name


def alike_changes(review: Review) -> tuple[Alike, ...]:
    """Returns groups of similar changes, sorted by severity, then by size, in descending order."""
    groups: dict[Hashable, list[ReviewedChange]] = {}
    for item in review.changes:
        groups.setdefault(_meaning(item), []).append(item)
    alike = [Alike(tuple(items), _have_same_values(items)) for items in groups.values()]
    return tuple(sorted(alike, key=lambda group: (-group.verdict, -len(group.changes))))


def to_decide(groups: Iterable[Alike]) -> tuple[Alike, ...]:
    """Returns the groups that somebody must decide about: the dangerous and irreversible ones.

    If there are none, returns the groups with the verdict `review`.
    """
    listed = tuple(groups)
    grave = tuple(group for group in listed if group.verdict >= Verdict.DANGEROUS)
    return grave or tuple(group for group in listed if group.verdict is Verdict.REVIEW)


def _meaning(item: ReviewedChange) -> Hashable:
    """Returns a key that is the same for changes of the same group."""
    change = item.change
    same: tuple[Hashable, ...] = (
        change.type,
        change.action,
        bool(change.deposed),
        bool(change.imported),
        item.rename is not None,
    )
    if change.action not in CHANGING:
        return (*same, tuple((reason.rule, reason.verdict) for reason in item.reasons))
    paths = tuple(difference.path for difference in change.differences)
    same = (*same, item.reasons, change.forced_by, change.unknown, paths)
    return same if item.verdict is Verdict.SAFE else (*same, _values(item))


def _have_same_values(items: Iterable[ReviewedChange]) -> bool:
    return len({_values(item) for item in items if item.change.action in CHANGING}) <= 1


def _values(item: ReviewedChange) -> Hashable:
    return tuple(
        (_frozen(difference.before), _frozen(difference.after))
        for difference in item.change.differences
    )


def _frozen(value: Any) -> Hashable:
    """Returns a hashable copy of a value, in which 1, 1.0, "1" and true remain different."""
    if isinstance(value, Mapping):
        return tuple((key, _frozen(item)) for key, item in sorted(value.items()))
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return type(value), value


def _in_common(texts: Sequence[str]) -> str:
    """Combines several texts into one.

    Returns the beginning up to a colon if all texts share it. Otherwise returns the first text and
    the number of the other texts.
    """
    beginning, colon, _ = texts[0].partition(": ")
    if len(texts) == 1:
        return texts[0]
    if colon and all(text.startswith(f"{beginning}: ") for text in texts):
        return f"{beginning} (different for each)"
    more = len(texts) - 1
    return f"{texts[0]} (and {more} other {'reason' if more == 1 else 'reasons'})"


def _verb(verb: str, several: bool) -> str:
    return verb if several else f"{verb}s"


def _listed(parts: list[str]) -> str:
    named, more = parts[:ATTRIBUTES_SHOWN], len(parts) - ATTRIBUTES_SHOWN
    if more > 0:
        named.append(f"{more} more {'attribute' if more == 1 else 'attributes'}")
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
