"""A resource's values before and after, as far as they may be shown, and where they differ."""

from __future__ import annotations

import enum
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
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
"""Attributes that tell blocks of one list apart, the most telling first."""


class Unknown(enum.Enum):
    """What Terraform will only know after the apply."""

    VALUE = "(known after apply)"

    def __str__(self) -> str:
        return self.value


UNKNOWN = Unknown.VALUE


@dataclass(frozen=True)
class Sensitive:
    """A value that is not shown. Two can be told apart, and that is all there is to them."""

    fingerprint: bytes

    def __str__(self) -> str:
        return "(sensitive)"

    __repr__ = __str__


def covered(value: Any, sensitive: Any = False, unknown: Any = False) -> Any:
    """A value with its sensitive and its unknown parts replaced.

    Args:
        value: as `terraform show -json` has it.
        sensitive: the same shape with `true` where a value is sensitive (`before_sensitive`, `after_sensitive`).
        unknown: likewise, where it is unknown (`after_unknown`).
    """
    if unknown is True:
        return UNKNOWN
    if sensitive is True:
        return None if value is None else Sensitive(_fingerprint(value))
    if isinstance(value, Mapping) or (value is None and isinstance(unknown, Mapping)):
        keys = dict.fromkeys([*(value or {}), *(unknown if isinstance(unknown, Mapping) else {})])
        return {
            key: covered((value or {}).get(key), _at(sensitive, key), _at(unknown, key))
            for key in keys
        }
    if isinstance(value, list) or (value is None and isinstance(unknown, list)):
        length = max(len(value or []), len(unknown) if isinstance(unknown, list) else 0)
        return [
            covered(_at(value, index), _at(sensitive, index), _at(unknown, index))
            for index in range(length)
        ]
    return value


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
    """One attribute that changes."""

    path: str
    """`point_in_time_recovery.enabled`; a block of a list by what identifies it: `rule[name=rate].action`."""
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Where two values differ. Texts that are JSON documents are compared as what they say; absent and empty are the same."""
    before, after = _document(before, after)
    if before == after or (_is_empty(before) and _is_empty(after)):
        return
    if _both(before, after, Mapping):
        for key in dict.fromkeys([*(before or {}), *(after or {})]):
            yield from differences(
                (before or {}).get(key), (after or {}).get(key), f"{path}.{key}" if path else key
            )
    elif _both(before, after, list) and any(
        isinstance(item, Mapping) for item in [*(before or []), *(after or [])]
    ):
        for name, old, new in _paired(before or [], after or []):
            yield from differences(old, new, f"{path}{name}")
    else:
        yield Difference(path, before, after)


def _both(before: Any, after: Any, kind: type) -> bool:
    """Whether both are of a kind, or one is and the other is not there."""
    present = [value for value in (before, after) if value is not None]
    return bool(present) and all(isinstance(value, kind) for value in present)


def _is_empty(value: Any) -> bool:
    """What the provider writes for an argument that is not given."""
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
    """The document in a text, or None where it holds none."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None


def _paired(before: Sequence[Any], after: Sequence[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Blocks of two lists that are the same thing: equal ones are left out, then pairs by name, the rest in order."""
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
    """The values at a path; a list on the way stands for each of its items, and a JSON text for what it says."""
    values = [value]
    for key in path.split("."):
        values = [
            item for found_ in values for item in (found_ if isinstance(found_, list) else [found_])
        ]
        values = [parsed_json(item) or item for item in values]
        values = [
            UNKNOWN if item is UNKNOWN else item.get(key)
            for item in values
            if item is UNKNOWN or isinstance(item, Mapping)
        ]
    values = [
        item for found_ in values for item in (found_ if isinstance(found_, list) else [found_])
    ]
    return [item for item in values if item is not None]


def shown(value: Any) -> Any:
    """A value for JSON: what is covered becomes its text."""
    if isinstance(value, Mapping):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return str(value) if isinstance(value, Unknown | Sensitive) else value
