"""Compares the permissions of two IAM policies by meaning instead of by text.

A policy is wider than an earlier one if it has a grant that no single statement of the earlier
policy covers, or lacks a denial of the earlier policy. If it is unclear whether a statement covers
a grant, the grant is reported as new: an unnecessary review is better than a missed permission.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ops.permissions import globs
from ops.permissions.actions import (
    action_covers,
    actions_are_disjoint,
    can_change_permissions,
    excluding,
    expand_action,
    is_service_wide,
    known_action,
    matching,
    unknown_patterns,
)
from ops.permissions.conditions import Condition, all_imply, conditions
from ops.permissions.exposure import open_principals
from ops.permissions.principals import (
    ANYBODY,
    are_distinct,
    as_list,
    principal_covers,
    principals,
)
from ops.terraform.plan_values import UNKNOWN, parsed_json

VARIABLES_SINCE = "2012-10-17"
"""The first policy version with policy variables. The default is 2008-10-17."""
ELEMENTS = frozenset({
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
})  # fmt: skip
"""The allowed elements of a policy statement."""
PRINTED_ACTIONS = 6
"""Maximum number of actions in a grant's text. If there are more, `and N more` follows."""


@dataclass(frozen=True)
class Statement:
    """A normalized statement of a policy."""

    allows: bool
    patterns: tuple[str, ...]
    """The values of Action as written, possibly with wildcards. Only `*` if there is NotAction."""
    actions: frozenset[str]
    """The actions, with wildcards expanded. For NotAction, all actions except the excluded ones."""
    resources: tuple[str, ...]
    """The resources of Resource or NotResource, as written."""
    principals: tuple[str, ...]
    """The principals in Principal or NotPrincipal, in normal form. Empty if both are missing."""
    conditions: tuple[Condition, ...] = ()
    excludes_resources: bool = False
    """True if `resources` contains the values of NotResource."""
    excludes_principals: bool = False
    """True if `principals` contains the values of NotPrincipal."""
    written_actions: tuple[str, ...] = ()
    """The actions of Action or NotAction, as written."""
    excludes_actions: bool = False
    """True if `written_actions` contains the values of NotAction."""
    unknown_actions: frozenset[str] = frozenset()
    """Patterns of the compared policies that match no action in AWS's reference, if the statement
    may apply to the actions that they name.
    """
    variables: bool = True
    """True if `${...}` is a policy variable, False if the policy's version has no variables."""

    @property
    def open_principals(self) -> frozenset[str]:
        """The principals through which everybody has access. Empty for a Deny statement."""
        if not self.allows:
            return frozenset()
        return open_principals(
            self.principals, excluded=self.excludes_principals, conditions=self.conditions
        )

    def parsed_resources(self, *, certain: bool) -> list[str]:
        """Returns the resources as patterns, with `*` for the missing parts of incomplete ARNs.

        AWS completes ARNs in the policies of users and roles. AWS does not document whether it
        also completes them in the policies of resources.

        Args:
            certain: True leaves incomplete ARNs in policies of resources unchanged, so that they
                match only what AWS certainly matches. False completes these ARNs too.
        """
        return [
            globs.parse_pattern(self._completed(item, certain=certain), variables=self.variables)
            for item in self.resources
        ]

    def _completed(self, resource: str, *, certain: bool) -> str:
        belongs_to_resource = self.principals or self.excludes_principals
        if certain and belongs_to_resource and "*" not in resource:
            return resource
        return globs.completed_arn(resource)


@dataclass(frozen=True)
class Grant:
    """A permission, or a denial, that only one of two compared policies contains."""

    statement: Statement
    matches: frozenset[str]
    """The allowed actions in AWS's reference, and allowed patterns that match no such action."""
    resource: str | None
    """The resource. None means all resources except those in the statement's NotResource."""
    principal: str | None
    """The principal. None if the statement has NotPrincipal, or no principal at all."""

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """The allowed actions in AWS's spelling. Wildcard patterns stay as written."""
        return _as_written(self.statement, self.matches)

    @property
    def wildcard(self) -> bool:
        """True for actions such as `s3:*`, and for unlimited resources.

        Resources count only if an action of the grant accepts specific resources.
        """
        actions = frozenset().union(*(expand_action(action) for action in self.actions))
        if any(is_service_wide(item) for item in self.statement.patterns) and any(
            is_service_wide(item) and expand_action(item) & actions
            for item in self.statement.patterns
        ):
            return True
        return self._is_any_resource and any(
            known_action(action).takes_resource for action in actions
        )

    @property
    def _is_any_resource(self) -> bool:
        if self.statement.principals:
            # A policy with principals is attached to a resource. In such a policy, `*` means only
            # that resource.
            return False
        if self.resource is None:
            return True
        if not self.resource.startswith("arn:"):
            return not self.resource.strip("*")
        name = self.resource.split(":", 5)[-1]
        # A name can follow the type: `log-group:*` is any log group, and `log-group:app:*` are the
        # streams of one log group.
        return "*" in name and not (name.partition(":")[2] or name).strip("*:")

    @property
    def gives_permissions(self) -> bool:
        """True if the grant allows changing permissions."""
        return any(can_change_permissions(action) for action in self.actions)

    @property
    def public(self) -> bool:
        """True if the grant includes everybody, or all users of an external identity provider."""
        opened = self.statement.open_principals
        return bool(opened) and (self.principal is None or self.principal in opened)

    def __str__(self) -> str:
        statement = self.statement
        shown = ", ".join(self.actions[:PRINTED_ACTIONS]) + (
            f" and {len(self.actions) - PRINTED_ACTIONS} more"
            if len(self.actions) > PRINTED_ACTIONS
            else ""
        )
        resource = self.resource or f"everything except {', '.join(statement.resources)}"
        conditions = "; ".join(map(str, statement.conditions))
        return (
            f"{shown} on {resource}{self._principal_text()}"
            f"{f', if {conditions}' if conditions else ''}"
        )

    def _principal_text(self) -> str:
        if self.principal is None:
            excluded = ", ".join(self.statement.principals)
            return f" by everybody except {excluded}" if excluded else ""
        if self.principal == ANYBODY:
            return " by anybody"
        return f" by {'any identity of ' if self.public else ''}{self.principal}"


@dataclass(frozen=True)
class Comparison:
    """The differences between two policies."""

    wider: tuple[Grant, ...] = ()
    """Grants that only the later policy has."""
    narrower: tuple[Grant, ...] = ()
    """Grants that only the earlier policy has."""
    undenied: tuple[Grant, ...] = ()
    """Denials that only the earlier policy has."""
    denied: tuple[Grant, ...] = ()
    """Denials that only the later policy has."""
    unknown: bool = False
    """True if the later policy is known only after the apply."""
    undecided: tuple[str, ...] = ()
    """Problems of invalid statements, which were not compared."""
    attribute: str = field(default="policy", compare=False)

    @property
    def same(self) -> bool:
        """True if both policies have the same meaning."""
        return not (
            self.wider
            or self.narrower
            or self.undenied
            or self.denied
            or self.unknown
            or self.undecided
        )


def is_policy(value: Any) -> bool:
    """Returns True if a value is a policy document, as a JSON string or parsed."""
    document = parsed_json(value) if isinstance(value, str) else value
    return isinstance(document, Mapping) and "Statement" in document


def compare(before: Any, after: Any, attribute: str = "policy") -> Comparison:
    """Returns the permissions that a policy gains and loses.

    Args:
        before: The document as a JSON string or parsed, or None if there is no policy.
        after: The later document in the same form, or UNKNOWN.
    """
    if after is UNKNOWN:
        return Comparison(unknown=True, attribute=attribute)
    others = unknown_patterns([*_action_patterns(before), *_action_patterns(after)])
    (old, old_problems), (new, new_problems) = (_read(item, others) for item in (before, after))
    allowed_before, allowed_after = ([s for s in side if s.allows] for side in (old, new))
    denied_before, denied_after = ([s for s in side if not s.allows] for side in (old, new))
    return Comparison(
        wider=_uncovered(allowed_after, allowed_before),
        narrower=_uncovered(allowed_before, allowed_after),
        undenied=_uncovered(denied_before, denied_after),
        denied=_uncovered(denied_after, denied_before),
        undecided=tuple(dict.fromkeys([*old_problems, *new_problems])),
        attribute=attribute,
    )


def statements(policy: Any) -> list[Statement]:
    """Returns the valid statements of a policy in normalized form."""
    return _read(policy, unknown_patterns(_action_patterns(policy)))[0]


def can_be_changed(policy: Any, action: str) -> bool:
    """Returns True if a policy allows at least one account, user or role to replace the policy.

    Args:
        action: The action that replaces such a policy, for example `kms:PutKeyPolicy`.
    """
    permitting = [item for item in statements(policy) if expand_action(action) <= item.actions]
    if any(
        not item.allows
        and not item.conditions
        and (ANYBODY in item.principals and not item.excludes_principals)
        for item in permitting
    ):
        return False
    return any(
        item.allows and (item.excludes_principals or any(_is_account(p) for p in item.principals))
        for item in permitting
        if not any(condition.key == "aws:sourceaccount" for condition in item.conditions)
    )


def _is_account(principal: str) -> bool:
    return principal == ANYBODY or principal.startswith("AWS:")


def _documents(policy: Any) -> list[Any]:
    document = parsed_json(policy) if isinstance(policy, str) else policy
    return as_list(document.get("Statement")) if isinstance(document, Mapping) else []


def _action_patterns(policy: Any) -> list[str]:
    return [
        str(pattern)
        for item in _documents(policy)
        if isinstance(item, Mapping)
        for name in ("Action", "NotAction")
        for pattern in as_list(item.get(name))
    ]


def _read(policy: Any, others: frozenset[str]) -> tuple[list[Statement], list[str]]:
    """Returns the valid statements of a policy, and the problem of each invalid statement.

    Args:
        others: All patterns in the compared policies that match no known action.
    """
    document = parsed_json(policy) if isinstance(policy, str) else policy
    variables = isinstance(document, Mapping) and document.get("Version") == VARIABLES_SINCE
    valid, problems = [], []
    for number, item in enumerate(_documents(policy), 1):
        try:
            valid.append(_statement(item, others, variables=variables))
        except ValueError as error:
            problems.append(f"statement {number}: {error}")
    return valid, problems


def _statement(item: Any, others: frozenset[str], *, variables: bool) -> Statement:
    if not isinstance(item, Mapping):
        raise ValueError("it is not an object")
    if globs.has_private_characters(json.dumps(item, ensure_ascii=False)):
        raise ValueError("it has private-use Unicode characters")
    extra = [str(name) for name in item if name not in ELEMENTS]
    if extra:
        raise ValueError(f"it has the unknown element {extra[0]}")
    if item.get("Effect") not in {"Allow", "Deny"}:
        raise ValueError("its Effect is neither Allow nor Deny")
    for name in ("Action", "Resource", "Principal"):
        if name in item and f"Not{name}" in item:
            raise ValueError(f"it has both {name} and Not{name}")
        if any(not _values(item[key]) for key in (name, f"Not{name}") if key in item):
            raise ValueError(f"its {name} is empty")
    if "Action" not in item and "NotAction" not in item:
        raise ValueError("it has neither Action nor NotAction")
    excludes_actions = "NotAction" in item
    written = tuple(map(str, as_list(item.get("Action", item.get("NotAction")))))
    resources = tuple(map(str, as_list(item.get("Resource", item.get("NotResource")))))
    return Statement(
        allows=item["Effect"] == "Allow",
        patterns=("*",) if excludes_actions else written,
        actions=excluding(written) if excludes_actions else matching(written),
        resources=resources or ("*",),
        principals=principals(item.get("Principal", item.get("NotPrincipal"))),
        conditions=conditions(item.get("Condition"), variables=variables),
        excludes_resources="NotResource" in item,
        excludes_principals="NotPrincipal" in item,
        variables=variables,
        written_actions=written,
        excludes_actions=excludes_actions,
        unknown_actions=_unknown_actions(written, others, excluded=excludes_actions),
    )


def _unknown_actions(
    written: Sequence[str], others: frozenset[str], *, excluded: bool
) -> frozenset[str]:
    """Returns the patterns of unknown actions to which the statement may apply.

    The patterns come from the statement itself and from `others`.

    Args:
        written: The actions of the statement's Action or NotAction.
        others: All patterns in the compared policies that match no known action.
    """
    if excluded:
        return frozenset(
            one for one in others if not any(action_covers(other, one) for other in written)
        )
    own = unknown_patterns(written)
    rest = [pattern for pattern in written if pattern.lower() not in own]
    return own | frozenset(
        one for one in others if any(not actions_are_disjoint(pattern, one) for pattern in rest)
    )


def _values(element: Any) -> list[Any]:
    """Returns the values of an element as one list.

    If the element is an object, as Principal usually is, the list has the values of all its keys.
    """
    items = element.values() if isinstance(element, Mapping) else [element]
    return [value for item in items for value in as_list(item)]


def _uncovered(checked: Sequence[Statement], others: Sequence[Statement]) -> tuple[Grant, ...]:
    grants = []
    for statement in checked:
        candidates = [item for item in others if all_imply(statement.conditions, item.conditions)]
        for resource in (None,) if statement.excludes_resources else statement.resources:
            for principal in (
                (None,)
                if statement.excludes_principals or not statement.principals
                else statement.principals
            ):
                covering = [
                    item
                    for item in candidates
                    if _covers_resource(item, resource, statement)
                    and _covers_principal(item, principal, statement)
                ]
                covered = [item.actions for item in covering]
                uncovered = frozenset(
                    pattern
                    for pattern in statement.unknown_actions
                    if not any(_covers_action(item, pattern, statement) for item in covering)
                )
                # `difference` is slow for thousands of actions, so it is not called if nothing
                # would remain.
                if statement.actions not in covered:
                    uncovered |= statement.actions.difference(*covered)
                if uncovered:
                    grants.append(Grant(statement, uncovered, resource, principal))
    return tuple(dict.fromkeys(grants))


def _covers_action(wide: Statement, pattern: str, narrow: Statement) -> bool:
    """Returns True if the wide statement covers the narrow one for actions that match a pattern.

    Args:
        pattern: A pattern of actions that AWS's reference does not list. The actions are unknown,
            so the function compares the pattern itself.
    """
    if not wide.excludes_actions:
        return any(action_covers(item, pattern) for item in wide.written_actions)
    exceptions = narrow.written_actions if narrow.excludes_actions else ()
    return all(
        actions_are_disjoint(item, pattern) or any(action_covers(one, item) for one in exceptions)
        for item in wide.written_actions
    )


def _as_written(statement: Statement, actions: frozenset[str]) -> tuple[str, ...]:
    """Returns `actions` in a short form, with the statement's patterns where possible.

    A pattern replaces the actions that match it if `actions` contains all of them.
    """
    names: list[str] = []
    unknown = actions & statement.unknown_actions
    for pattern in statement.patterns:
        matches = matching([pattern])
        if not matches:
            names += [pattern] if pattern.lower() in unknown else []
        elif matches <= actions or "*" not in pattern:
            names += [pattern] if matches & actions else []
        else:
            names += sorted(matches & actions)
    shown = {name.lower() for name in names}
    return (*dict.fromkeys(names), *sorted(unknown - shown))


def _covers_resource(wide: Statement, resource: str | None, narrow: Statement) -> bool:
    """Returns True if the wide statement covers `resource`.

    Args:
        resource: One resource of the narrow statement. None if the narrow statement has
            NotResource: the wide statement must then cover all resources to which the narrow
            statement applies.
    """
    if (
        resource in wide.resources
        and not wide.excludes_resources
        and wide.variables == narrow.variables
    ):
        return True
    # If it is unclear what a pattern in Resource matches, the comparison assumes that a pattern of
    # the narrow statement matches more, and a pattern of the wide statement less. In NotResource,
    # it assumes that the narrow statement's pattern matches less, and the wide statement's more.
    narrow_patterns = narrow.parsed_resources(certain=narrow.excludes_resources)
    wide_patterns = wide.parsed_resources(certain=not wide.excludes_resources)
    if not wide.excludes_resources:
        if resource is None:
            return globs.ANY in wide_patterns
        pattern = narrow_patterns[narrow.resources.index(resource)]
        return any(globs.arn_covers(item, pattern) for item in wide_patterns)
    if any(map(globs.variable_names, wide_patterns)):
        # The value of the variable is unknown, so NotResource may exclude every resource.
        return narrow.excludes_resources and set(wide_patterns) == set(narrow_patterns)
    if resource is None:
        return all(
            any(globs.arn_covers(one, other) for one in narrow_patterns) for other in wide_patterns
        )
    pattern = narrow_patterns[narrow.resources.index(resource)]
    return all(globs.are_disjoint(pattern, item) for item in wide_patterns)


def _covers_principal(wide: Statement, principal: str | None, narrow: Statement) -> bool:
    """Returns True if the wide statement covers `principal`.

    Args:
        principal: One principal of the narrow statement. None if the narrow statement has
            NotPrincipal or no principal: the wide statement must then cover all principals to which
            the narrow statement applies.
    """
    if not narrow.principals and not narrow.excludes_principals:
        return not wide.excludes_principals and (not wide.principals or ANYBODY in wide.principals)
    if not wide.excludes_principals:
        return any(
            principal_covers(name, ANYBODY if principal is None else principal)
            for name in wide.principals
        )
    if principal is None:
        return set(wide.principals) <= set(narrow.principals)
    return all(are_distinct(principal, name) for name in wide.principals)
