"""Masks sensitive values in a plan, and compares a resource's current and planned values."""

from __future__ import annotations

import enum
import hashlib
import json
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SALT = secrets.token_bytes(16)
IDENTIFYING = (
    "sid",
    "Sid",
    "id",
    "name",
    "key",
    "index_name",
    "attribute_name",
    "rule_name",
    "origin_id",
    "path_pattern",
)
"""Attributes that identify a block in a list, in order of preference."""


class Unknown(enum.Enum):
    """A value that Terraform knows only after the apply."""

    VALUE = "(known after apply)"

    def __str__(self) -> str:
        return self.value


UNKNOWN = Unknown.VALUE


@dataclass(frozen=True)
class Sensitive:
    """A masked value, which can only be compared for equality with another masked value."""

    fingerprint: bytes

    def __str__(self) -> str:
        return "(sensitive)"

    __repr__ = __str__


def masked(value: Any, sensitive: Any = False, unknown: Any = False) -> Any:
    """Returns a value with its sensitive and unknown parts replaced by placeholders.

    Args:
        value: A value from `terraform show -json`.
        sensitive: The same structure with `true` at sensitive values (`before_sensitive`,
            `after_sensitive`).
        unknown: The same structure with `true` at unknown values (`after_unknown`).
    """
    if unknown is True:
        return UNKNOWN
    if sensitive is True:
        return None if value is None else Sensitive(_fingerprint(value))
    if isinstance(value, Mapping) or (value is None and isinstance(unknown, Mapping)):
        keys = dict.fromkeys([*(value or {}), *(unknown if isinstance(unknown, Mapping) else {})])
        return {
            key: masked((value or {}).get(key), _at(sensitive, key), _at(unknown, key))
            for key in keys
        }
    if isinstance(value, list) or (value is None and isinstance(unknown, list)):
        length = max(len(value or []), len(unknown) if isinstance(unknown, list) else 0)
        return [
            masked(_at(value, index), _at(sensitive, index), _at(unknown, index))
            for index in range(length)
        ]
    return value


def merge_marks(one: Any, other: Any) -> Any:
    """Returns the union of two structures that mark sensitive values with `true`.

    Terraform hides a value if `before_sensitive` or `after_sensitive` marks it. If one structure
    has a list where the other has an object, the whole value is marked.
    """
    if one is True or other is True:
        return True
    if not one or not other:
        return one or other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {key: merge_marks(one.get(key), other.get(key)) for key in [*one, *other]}
    if isinstance(one, list) and isinstance(other, list):
        longest = max(len(one), len(other))
        return [merge_marks(_at(one, index), _at(other, index)) for index in range(longest)]
    return True


def marks_at(values: Any, attributes: Collection[str], path: str = "") -> Any:
    """Returns a structure that marks the values at the paths in `attributes` with `true`.

    Args:
        attributes: Paths of the attributes without list indexes, for example `settings.password`.
    """
    if not attributes or path in attributes:
        return bool(attributes)
    if isinstance(values, Mapping):
        prefix = f"{path}." if path else ""
        marks = {key: marks_at(item, attributes, f"{prefix}{key}") for key, item in values.items()}
        return {key: mark for key, mark in marks.items() if mark}
    if isinstance(values, list):
        items = [marks_at(item, attributes, path) for item in values]
        return items if any(items) else False
    return False


def marked_paths(marks: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of the values that a structure marks as sensitive with `true`."""
    if marks is True:
        yield path
    elif isinstance(marks, Mapping):
        for key, item in marks.items():
            yield from marked_paths(item, f"{path}.{key}" if path else str(key))
    elif isinstance(marks, list):
        for index, item in enumerate(marks):
            yield from marked_paths(item, f"{path}[{index}]")


def _fingerprint(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), key=_SALT, digest_size=16).digest()


def _at(shape: Any, key: Any) -> Any:
    if isinstance(shape, Mapping):
        return shape.get(key)
    if isinstance(shape, list):
        return shape[key] if isinstance(key, int) and key < len(shape) else None
    return None


@dataclass(frozen=True)
class Difference:
    """An attribute whose value changes, with both values."""

    path: str
    """The path of the value, for example `ttl.enabled`, or `rule[name=rate].action` in a list."""
    before: Any
    after: Any
    attribute: str = ""
    """The path without the parts in brackets, for example `rule.action`."""

    def is_at(self, attribute: str) -> bool:
        """Returns True if this is a difference in the attribute or in a part of the attribute."""
        return self.attribute == attribute or self.attribute.startswith(f"{attribute}.")


def differences(
    before: Any, after: Any, path: str = "", attribute: str | None = None
) -> Iterator[Difference]:
    """Yields the attributes in which two values differ.

    Compares JSON strings by their content. Treats absent and empty values as equal, except for
    empty blocks in a list, which have a meaning: `none {}` differs from `count {}`.

    Args:
        path: The path of the two values.
        attribute: The path without the parts in brackets. Defaults to the path.
    """
    attribute = path if attribute is None else attribute
    before, after = _document(before, after)
    if before == after or (_is_empty(before) and _is_empty(after)):
        return
    if _both(before, after, Mapping):
        for key in dict.fromkeys([*(before or {}), *(after or {})]):
            yield from differences(
                (before or {}).get(key),
                (after or {}).get(key),
                f"{path}.{key}" if path else key,
                f"{attribute}.{key}" if attribute else key,
            )
    elif _both(before, after, list) and any(
        isinstance(item, Mapping) for item in [*(before or []), *(after or [])]
    ):
        for name, old, new in pair_blocks(before or [], after or []):
            inside = list(differences(old, new, f"{path}{name}", attribute))
            if not inside and (old is None) != (new is None):
                inside = [Difference(f"{path}{name}", old, new, attribute)]
            yield from inside
    else:
        yield Difference(path, before, after, attribute)


def _both(before: Any, after: Any, kind: type) -> bool:
    """Returns True if both values have the type `kind`, or one has it and the other is None."""
    present = [value for value in (before, after) if value is not None]
    return bool(present) and all(isinstance(value, kind) for value in present)


def _is_empty(value: Any) -> bool:
    """Returns True for values that the provider stores for an absent argument, such as `[]`."""
    return value is None or value in ("", [], {})


def _document(before: Any, after: Any) -> tuple[Any, Any]:
    parsed = [parsed_json(value) for value in (before, after)]
    if all(
        document is not None or _is_empty(value)
        for document, value in zip(parsed, (before, after), strict=True)
    ):
        return parsed[0], parsed[1]
    return before, after


def parsed_json(value: Any) -> Any | None:
    """Returns the JSON object or array in a string, or None if the string contains neither."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None


def pair_blocks(before: Sequence[Any], after: Sequence[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yields pairs of different blocks in two lists.

    Before the two blocks, each tuple contains the pair's path part in brackets, for example
    `[name=rate]`, or an empty string if no brackets are necessary.

    Pairs blocks with equal identifying attributes. If such attributes are missing or not unique,
    pairs the blocks by position. A block that only one list has is paired with None.
    """
    old = [item for item in before if item not in after]
    new = [item for item in after if item not in before]
    by_name = {_name(item): item for item in old if _name(item)}
    if len(by_name) == len(old) and len({_name(item) for item in new} - {None}) == len(new):
        later = {_name(item): item for item in new}
        for name in dict.fromkeys([*by_name, *later]):
            yield f"[{name}]", by_name.get(name), later.get(name)
    elif len(before) == len(after) == 1:
        yield "", before[0], after[0]
    else:
        for index in range(max(len(old), len(new))):
            number = "" if max(len(before), len(after)) == 1 else f"[{index}]"
            yield number, _at(old, index), _at(new, index)


def _name(item: Any) -> str | None:
    if not isinstance(item, Mapping):
        return None
    return next(
        (
            f"{key}={item[key]}"
            for key in IDENTIFYING
            if isinstance(item.get(key), str) and item[key]
        ),
        None,
    )


def values_at(value: Any, path: str) -> list[Any]:
    """Returns the values at a path such as `a.b`, in all items of lists and in JSON strings."""
    values = [value]
    for key in path.split("."):
        values = [
            item for value in values for item in (value if isinstance(value, list) else [value])
        ]
        values = [parsed_json(item) or item for item in values]
        values = [
            UNKNOWN if item is UNKNOWN else item.get(key)
            for item in values
            if item is UNKNOWN or isinstance(item, Mapping)
        ]
    values = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in values if item is not None]


def to_json_value(value: Any) -> Any:
    """Converts a value for JSON output. Placeholder strings replace masked and unknown values."""
    if isinstance(value, Mapping):
        return {key: to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    return str(value) if isinstance(value, Unknown | Sensitive) else value
