"""Compares IAM patterns (with `*`, `?` and policy variables) by the set of texts they match."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

ANY = "\ue000"
"""Represents `*` in a parsed pattern. Texts that contain such private-use characters cannot be
compared.
"""
ONE = "\ue001"
"""Represents `?` in a parsed pattern."""
FIRST_VARIABLE = 0xF0000
"""The first code point that represents a policy variable in a parsed pattern."""
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SEGMENTS = 6
"""Number of colon-separated parts of an ARN. The last part may contain further colons."""

_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")

_variables: dict[str, str] = {}


def has_private_characters(text: str) -> bool:
    """Returns True if a text contains characters that represent wildcards in a parsed pattern."""
    return _PRIVATE.search(text) is not None


@functools.cache
def parse_pattern(text: str, *, wildcards: bool = True, variables: bool = True) -> str:
    """Returns a pattern with a private-use character in place of each wildcard and variable.

    Args:
        wildcards: False if `*` and `?` are ordinary characters, as in StringEquals.
        variables: False for policies of version 2008-10-17, where `${...}` is ordinary text.
    """
    result = []
    position = 0
    for match in _VARIABLE.finditer(text) if variables else ():
        result.append(
            _wild(text[position : match.start()]) if wildcards else text[position : match.start()]
        )
        name = match[1]
        # `${*}`, `${?}` and `${$}` are AWS's escapes for the plain character.
        result.append(name if name in {"*", "?", "$"} else _variable(name))
        position = match.end()
    result.append(_wild(text[position:]) if wildcards else text[position:])
    return "".join(result)


def _wild(text: str) -> str:
    return re.sub(r"\*+", ANY, text).replace("?", ONE)


def _variable(name: str) -> str:
    key, comma, default = name.partition(",")
    # IAM ignores the case of a variable's key, but not of its default value.
    normalized = key.strip().lower() + comma + default.strip()
    return _variables.setdefault(normalized, chr(FIRST_VARIABLE + len(_variables)))


def variable_names(pattern: str) -> list[str]:
    """Returns the names of the policy variables in a parsed pattern, in lower case."""
    names = {character: name for name, character in _variables.items()}
    return [names[character] for character in pattern if character in names]


def is_fixed(pattern: str) -> bool:
    """Returns True if a parsed pattern matches exactly one text."""
    return not any(_is_open(character) for character in pattern)


def fixed_start(pattern: str) -> str:
    """Returns the part of a parsed pattern before its first wildcard or variable."""
    end = next((index for index, item in enumerate(pattern) if _is_open(item)), len(pattern))
    return pattern[:end]


def _is_open(character: str) -> bool:
    return character in {ANY, ONE} or ord(character) >= FIRST_VARIABLE


@functools.cache
def covers(wide: str, narrow: str) -> bool:
    """Returns True if the wide parsed pattern matches all texts that the narrow one matches.

    False can also mean that the comparison was inconclusive, for example for `?*` and `*?`.
    """
    if wide in {ANY, narrow}:
        return True
    return _expression(wide).fullmatch(narrow) is not None


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    # `covers` matches this expression against the narrow pattern, which can contain wildcards and
    # variables. `?` of the wide pattern must match neither `*` nor a variable.
    single = f"[^{ANY}{chr(FIRST_VARIABLE)}-\U0010ffff]"
    parts = {ANY: ".*", ONE: single}
    return re.compile("".join(parts.get(item) or re.escape(item) for item in pattern), re.DOTALL)


@functools.cache
def arn_covers(wide: str, narrow: str) -> bool:
    """Returns True if the wide parsed ARN pattern matches all ARNs that the narrow one matches.

    AWS matches each part between colons separately.
    """
    if wide in {ANY, narrow}:
        return True
    wide_parts, narrow_parts = (item.split(":", _SEGMENTS - 1) for item in (wide, narrow))
    return len(wide_parts) == len(narrow_parts) and all(map(covers, wide_parts, narrow_parts))


def completed_arn(text: str) -> str:
    """Returns an ARN with `*` for each missing part. AWS completes incomplete ARNs in this way."""
    missing = _SEGMENTS - 1 - text.count(":")
    return text + ":*" * missing if text.startswith("arn:") else text


@functools.cache
def are_disjoint(one: str, other: str) -> bool:
    """Returns True if no text matches both parsed patterns. A variable counts as `*`."""
    reachable = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        one_index, other_index = waiting.pop()
        for step in _steps(one, one_index, other, other_index):
            if step == (len(one), len(other)):
                return False
            if step not in reachable:
                reachable.add(step)
                waiting.append(step)
    return (len(one), len(other)) != (0, 0)


def _steps(one: str, one_index: int, other: str, other_index: int) -> Iterable[tuple[int, int]]:
    left = one[one_index] if one_index < len(one) else None
    right = other[other_index] if other_index < len(other) else None
    if left is not None and _is_any(left):
        yield one_index + 1, other_index
        if right is not None:
            yield one_index, other_index + 1
    if right is not None and _is_any(right):
        yield one_index, other_index + 1
        if left is not None:
            yield one_index + 1, other_index
    if left is not None and right is not None and (left == right or ONE in {left, right}):
        yield one_index + 1, other_index + 1


def _is_any(character: str) -> bool:
    return character == ANY or ord(character) >= FIRST_VARIABLE
