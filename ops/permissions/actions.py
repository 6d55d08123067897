"""Expands patterns of IAM actions to actions of AWS's service authorization reference."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.permissions import globs

ACTIONS_FILE = Path(__file__).with_name("aws_actions.json")
"""JSON file with the actions of AWS's service authorization reference.

`python -m tools.provider_types` writes the file. It maps each service to access levels, and each
access level to the names of actions, separated by spaces. Actions that do not accept a specific
resource are listed under a key that consists of the access level and NO_RESOURCE.
"""
NO_RESOURCE = " without resource"

PERMISSIONS_MANAGEMENT = "Permissions management"
"""The access level that AWS assigns to actions that change permissions."""
ESCALATING = frozenset({"organizations:AttachPolicy", "organizations:DetachPolicy"})
"""Actions that change permissions, although AWS lists them under another access level."""
READING = ("Get", "List", "Describe")
"""Name prefixes of actions that only read, although AWS lists some as PERMISSIONS_MANAGEMENT."""


@dataclass(frozen=True)
class Action:
    """An action in AWS's service authorization reference."""

    name: str
    """The name as AWS writes it. IAM ignores the case of letters."""
    level: str | None
    """List, Read, Write, Tagging or Permissions management. None if the action is unknown."""
    takes_resource: bool


def known_action(name: str) -> Action:
    """Returns the action with this name. Ignores the case of letters.

    If AWS's reference does not contain the action, returns an action without a level.
    """
    service, _, _ = name.partition(":")
    return _service(service.lower()).get(name.lower()) or Action(
        name.lower(), None, takes_resource=True
    )


def access_level(action: str) -> str | None:
    """Returns AWS's access level of an action, or None if the action is unknown.

    The levels are List, Read, Write, Tagging and Permissions management.
    """
    return known_action(action).level


@functools.cache
def can_change_permissions(pattern: str) -> bool:
    """Returns True if at least one action that matches the pattern changes permissions."""
    return any(
        action in ESCALATING
        or (
            access_level(action) == PERMISSIONS_MANAGEMENT
            and not action.partition(":")[2].startswith(READING)
        )
        for action in expand_action(pattern)
    )


@functools.cache
def expand_action(pattern: str) -> frozenset[str]:
    """Returns the actions that match a pattern, as AWS writes them.

    If AWS's reference contains no such action, returns the pattern in lower case.
    """
    if not _is_pattern(pattern):
        return frozenset([known_action(pattern).name])
    return _known_matches(pattern) or frozenset([pattern.lower()])


def matching(patterns: Iterable[str]) -> frozenset[str]:
    """Returns the actions of AWS's reference that match one of the patterns."""
    return _matching(frozenset(patterns))


def excluding(patterns: Iterable[str]) -> frozenset[str]:
    """Returns the actions of AWS's reference that match none of the patterns."""
    return _excluding(frozenset(patterns))


@functools.lru_cache(1024)
def _matching(patterns: frozenset[str]) -> frozenset[str]:
    return frozenset().union(*map(_known_matches, patterns))


@functools.lru_cache(1024)
def _excluding(patterns: frozenset[str]) -> frozenset[str]:
    return matching(["*"]) - matching(patterns)


def unknown_patterns(patterns: Iterable[str]) -> frozenset[str]:
    """Returns the patterns that match no action in AWS's reference, in lower case.

    Such patterns may be for actions that are newer than the reference.
    """
    return frozenset(pattern.lower() for pattern in patterns if not _known_matches(pattern))


def action_covers(wide: str, narrow: str) -> bool:
    """Returns True if the wide pattern matches every action that the narrow pattern matches."""
    return globs.covers(
        *(globs.parse_pattern(item.lower(), variables=False) for item in (wide, narrow))
    )


def actions_are_disjoint(one: str, other: str) -> bool:
    """Returns True if no action matches both patterns."""
    return globs.are_disjoint(
        *(globs.parse_pattern(item.lower(), variables=False) for item in (one, other))
    )


def is_service_wide(pattern: str) -> bool:
    """Returns True for patterns that match all actions of a service: `*`, `*:*` and `s3:*`."""
    return not pattern.partition(":")[2].strip("*") and "*" in pattern


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


@functools.cache
def _known_matches(pattern: str) -> frozenset[str]:
    service, _, _ = pattern.lower().partition(":")
    candidates = _reference() if _is_pattern(service) else _service(service)
    if not _is_pattern(pattern):
        action = candidates.get(pattern.lower())
        return frozenset([action.name] if action else ())
    expression = _expression(pattern)
    return frozenset(
        action.name for name, action in candidates.items() if expression.fullmatch(name)
    )


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)


@functools.cache
def _reference() -> dict[str, Action]:
    return {name: action for service in _document() for name, action in _service(service).items()}


@functools.cache
def _service(service: str) -> dict[str, Action]:
    return {
        f"{service}:{name.lower()}": Action(
            f"{service}:{name}", level.removesuffix(NO_RESOURCE), not level.endswith(NO_RESOURCE)
        )
        for level, names in _document().get(service, {}).items()
        for name in names.split()
    }


@functools.cache
def _document() -> Mapping[str, Mapping[str, str]]:
    document: dict[str, dict[str, str]] = json.loads(ACTIONS_FILE.read_text(encoding="utf-8"))
    return document
