"""Finds objects, images and backups that AWS deletes, or deletes earlier, because of a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.review.context import Context
from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import UNKNOWN, parsed_json

KINDS = {
    "expiration": ("days", "objects"),
    "noncurrent_version_expiration": ("noncurrent_days", "noncurrent versions"),
}


@dataclass(frozen=True)
class Deletion:
    """The set of objects, images or backups that one expiry rule deletes."""

    what: str
    days: float
    """The age in days at which the rule deletes. Negative if the rule has a date instead."""
    kept: float = 0
    """The number of newest versions that the rule does not delete."""
    prefix: str = ""
    tags: frozenset[tuple[str, str]] = frozenset()
    larger_than: float = 0
    smaller_than: float = float("inf")
    other: str = field(default="", compare=True)
    """Further criteria of the rule as text. They can only be compared for equality."""

    def includes(self, other: Deletion) -> bool:
        """Returns True if this rule deletes everything that the rule `other` deletes."""
        return (
            self.what == other.what
            and self.days <= other.days
            and self.kept <= other.kept
            and other.prefix.startswith(self.prefix)
            and self.tags <= other.tags
            and self.larger_than <= other.larger_than
            and self.smaller_than >= other.smaller_than
            and self.other == other.other
        )

    def __str__(self) -> str:
        selected = f" under {self.prefix}" if self.prefix else ""
        tagged = f" tagged {', '.join('='.join(tag) for tag in sorted(self.tags))}"
        age = f" older than {self.days:g} days" if self.days >= 0 else ""
        kept = f" beyond the newest {self.kept:g}" if self.kept else ""
        when = "" if self.days >= 0 else " after a fixed date"
        return f"{self.what}{selected}{tagged if self.tags else ''}{age}{kept} are deleted{when}"


def deletes_more(change: Change, context: Context) -> Iterator[str]:
    """Yields a description of each rule that deletes more than any rule did before the change."""
    if change.action in {Action.CREATE, Action.REPLACE} and _is_new_bucket(change, context):
        return
    before = [] if change.action is Action.CREATE else list(_deletions(change.before))
    for deletion in _deletions(change.after):
        if not any(earlier.includes(deletion) for earlier in before):
            yield str(deletion)


def _is_new_bucket(change: Change, context: Context) -> bool:
    return context.is_new("bucket", change.after.get("bucket"))


def _deletions(values: Mapping[str, Any]) -> Iterator[Deletion]:
    for rule in [*_listed(values.get("rule")), *_listed(values.get("lifecycle_rule"))]:
        if isinstance(rule, Mapping):
            yield from _s3_deletions(rule)
    document = parsed_json(values.get("policy"))
    if isinstance(document, Mapping):
        for rule in _listed(document.get("rules")):
            if isinstance(rule, Mapping):
                yield from _image_deletions(rule)


def _s3_deletions(rule: Mapping[str, Any]) -> Iterator[Deletion]:
    if str(rule.get("status", "Enabled")).lower() != "enabled" or rule.get("enabled") is False:
        return
    selection = _selection(rule)
    for kind, (days, what) in KINDS.items():
        for block in _listed(rule.get(kind)):
            if not isinstance(block, Mapping):
                continue
            age = _number(block.get(days) or block.get("days"))
            if age:
                kept = _number(block.get("newer_noncurrent_versions"))
                yield Deletion(what, age, kept, **selection)
            elif block.get("date"):
                yield Deletion(what, -1, other=str(block["date"]), **selection)


def _selection(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the criteria by which a rule selects objects. A rule without criteria selects all."""
    selection: dict[str, Any] = {"prefix": _text(rule.get("prefix")), "tags": set()}
    selection["tags"] |= _tags(rule.get("tags"))
    for block in _listed(rule.get("filter")):
        if not isinstance(block, Mapping):
            continue
        for part in (block, *_listed(block.get("and"))):
            if not isinstance(part, Mapping):
                continue
            selection["prefix"] = _text(part.get("prefix")) or selection["prefix"]
            selection["tags"] |= _tags(part.get("tags"))
            for tag in _listed(part.get("tag")):
                if isinstance(tag, Mapping) and tag.get("key"):
                    selection["tags"].add((_text(tag["key"]), _text(tag.get("value"))))
            if part.get("object_size_greater_than"):
                selection["larger_than"] = _number(part["object_size_greater_than"])
            if part.get("object_size_less_than"):
                selection["smaller_than"] = _number(part["object_size_less_than"])
    return {**selection, "tags": frozenset(selection["tags"])}


def _image_deletions(rule: Mapping[str, Any]) -> Iterator[Deletion]:
    selection = rule.get("selection")
    if not isinstance(selection, Mapping):
        return
    number = _number(selection.get("countNumber"))
    by_age = selection.get("countType") == "sinceImagePushed"
    other = str(
        sorted(
            (str(key), str(value))
            for key, value in selection.items()
            if key not in {"countNumber", "countUnit"}
        )
    )
    yield Deletion("images", number if by_age else 0, 0 if by_age else number, other=other)


def _listed(value: Any) -> Iterable[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None or value is UNKNOWN else [value]


def _tags(value: Any) -> set[tuple[str, str]]:
    return (
        {(str(key), str(item)) for key, item in value.items()}
        if isinstance(value, Mapping)
        else set()
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0
