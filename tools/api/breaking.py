"""Finds changes of the API that break clients of the last released description."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_LIMITS: Mapping[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(("maximum", "maxLength", "maxItems", "maxProperties"), operator.le),
    **dict.fromkeys(("minimum", "minLength", "minItems"), operator.ge),
    **dict.fromkeys(("pattern", "format"), operator.eq),
}
"""For each keyword: a function that returns True if its first argument is at least as strict as its
second.
"""


@dataclass(frozen=True)
class _Schema:
    """A schema without references and `allOf`, and the document that contains it."""

    document: Json
    value: Json

    @classmethod
    def of(cls, document: Json, schema: Json) -> _Schema:
        schema = _resolve(document, schema)
        merged: dict[str, Any] = {}
        for part in schema.get("allOf", ()):
            for key, value in cls.of(document, part).value.items():
                old = merged.get(key)
                merged[key] = {**old, **value} if isinstance(old, dict) else value
        return cls(document, {**schema, **merged})

    def child(self, schema: Json) -> _Schema:
        return _Schema.of(self.document, schema)

    @property
    def options(self) -> list[_Schema]:
        return [self.child(option) for option in self.value.get("anyOf", [self.value])]


def find_breaking_changes(released: Json, current: Json) -> list[str]:
    """Compares two OpenAPI or two AsyncAPI documents. Returns a sentence per breaking change.

    A change is breaking if a valid request becomes invalid, or if a response, frame or event can
    contain values that its released description does not allow.
    """
    changes = _Changes(released, current)
    compare = changes.of_routes if "paths" in released else changes.of_messages
    return list(dict.fromkeys(compare()))


class _Changes:
    def __init__(self, released: Json, current: Json) -> None:
        self._released = released
        self._current = current

    def of_routes(self) -> Iterator[str]:
        for path, methods in self._released["paths"].items():
            for method, old in methods.items():
                name = f"{method.upper()} {path}"
                new = self._current["paths"].get(path, {}).get(method)
                if new is None:
                    yield f"{name} was removed"
                    continue
                yield from self._security(name, old["security"], new["security"])
                yield from self._parameters(name, old, new)
                yield from self._body(name, old.get("requestBody"), new.get("requestBody"))
                yield from self._responses(name, old["responses"], new["responses"])

    def of_messages(self) -> Iterator[str]:
        for name, old in self._released["operations"].items():
            new = self._current["operations"].get(name)
            if new is None:
                yield f"{name} was removed"
                continue
            yield from self._payloads(name, old, new, are_requests=old["action"] == "receive")
            if "reply" in old:
                yield from self._payloads(name, old["reply"], new["reply"], are_requests=False)

    def _payloads(self, name: str, old: Json, new: Json, *, are_requests: bool) -> Iterator[str]:
        kept = {message["$ref"] for message in new["messages"]}
        for message in old["messages"]:
            title = f"{name}: {message['$ref'].rpartition('/')[2]}"
            if message["$ref"] not in kept:
                yield f"{title} was removed"
                continue
            before = _resolve(self._released, message)["payload"]
            after = _resolve(self._current, message)["payload"]
            yield from self._schema(title, before, after, is_request=are_requests)

    def _security(self, name: str, old: list[Json], new: list[Json]) -> Iterator[str]:
        if not new:
            return
        for admitted in old or [{}]:
            if not any(
                scheme in admitted and set(roles) <= set(admitted[scheme])
                for option in new
                for scheme, roles in option.items()
            ):
                yield f"{name} no longer accepts callers with {dict(admitted) or 'no token'}"

    def _parameters(self, name: str, old: Json, new: Json) -> Iterator[str]:
        before, after = (
            {
                (parameter["in"], parameter["name"]): parameter
                for parameter in (_resolve(document, p) for p in operation["parameters"])
            }
            for document, operation in ((self._released, old), (self._current, new))
        )
        for key, parameter in before.items():
            title = f"{name}: {key[0]} parameter {key[1]}"
            if key not in after:
                yield f"{title} was removed"
            else:
                schemas = parameter["schema"], after[key]["schema"]
                yield from self._schema(title, *schemas, is_request=True)
        for key, parameter in after.items():
            was_required = before.get(key, {}).get("required", False)
            if parameter.get("required", False) and not was_required:
                yield f"{name}: {key[0]} parameter {key[1]} is required"

    def _body(self, name: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if new and new["required"] and not (old and old["required"]):
            yield f"{name}: the body is required"
        if old and new:
            yield from self._schema(f"{name}: body", _json(old), _json(new), is_request=True)
        elif old:
            yield f"{name}: the body was removed"

    def _responses(self, name: str, old: Json, new: Json) -> Iterator[str]:
        for status in (status for status in old if status < "4"):
            if status not in new:
                yield f"{name}: the response {status} was removed"
                continue
            for header in old[status].get("headers", {}).keys() - new[status].get("headers", {}):
                yield f"{name}: the response {status} has no header {header}"
            if "content" in old[status]:
                if "content" not in new[status]:
                    yield f"{name}: the response {status} has no body"
                    continue
                schemas = _json(old[status]), _json(new[status])
                yield from self._schema(f"{name}: response", *schemas, is_request=False)

    def _schema(self, name: str, old: Json, new: Json, *, is_request: bool) -> Iterator[str]:
        before, after = _Schema.of(self._released, old), _Schema.of(self._current, new)
        return _compare(name, before, after, is_request, frozenset())


def _compare(
    name: str, old: _Schema, new: _Schema, is_request: bool, compared: frozenset[str]
) -> Iterator[str]:
    """Yields the breaking changes between two schemas.

    Old clients send requests, so the new schema must accept each request that the old one accepts.
    The new server sends responses, frames and events, so the old schema must accept each value that
    the new one accepts.
    """
    key = f"{old.value} {new.value}"
    if key in compared:
        return  # the type contains itself and is being compared already
    compared |= {key}
    strict, loose = (old, new) if is_request else (new, old)
    for option in strict.options:
        alternatives = []
        for other in loose.options:
            pair = (option, other) if is_request else (other, option)
            alternatives.append(list(_compare_options(name, *pair, is_request, compared)))
        # The alternative with the fewest changes most likely corresponds to `option`.
        yield from min(alternatives, key=len)


def _compare_options(
    name: str, old: _Schema, new: _Schema, is_request: bool, compared: frozenset[str]
) -> Iterator[str]:
    before, after = old.value, new.value
    types = _type(before), _type(after)
    if types[0] != types[1]:
        yield f"{name}: the type changed from {types[0]} to {types[1]}"
        return
    yield from _compare_limits(name, before, after, is_request)
    strict, loose = (before, after) if is_request else (after, before)
    fields = before.get("properties", {}), after.get("properties", {})
    for field in loose.get("required", ()):
        # The loop below reports a missing field as removed.
        is_missing = not is_request and field not in fields[1]
        if field not in strict.get("required", ()) and not is_missing:
            yield f"{name}.{field} {'is required' if is_request else 'can be missing'}"
    for field, schema in fields[0].items():
        if field in fields[1]:
            pair = old.child(schema), new.child(fields[1][field])
            yield from _compare(f"{name}.{field}", *pair, is_request, compared)
        elif not is_request or after.get("additionalProperties") is False:
            yield f"{name}.{field} was removed"
    for keyword in ("items", "additionalProperties", "propertyNames"):
        if isinstance(before.get(keyword), dict) and isinstance(after.get(keyword), dict):
            pair = old.child(before[keyword]), new.child(after[keyword])
            yield from _compare(f"{name}[]", *pair, is_request, compared)


def _type(schema: Json) -> str | None:
    """Returns the type of a schema. For an enum of strings, this is `string`."""
    is_text = all(isinstance(value, str) for value in schema.get("enum", [None]))
    type_: str | None = schema.get("type", "string" if is_text else None)
    return type_


def _compare_limits(name: str, before: Json, after: Json, is_request: bool) -> Iterator[str]:
    strict, loose = (before, after) if is_request else (after, before)
    for keyword, relation in _LIMITS.items():
        if keyword in loose and not (
            keyword in strict and relation(strict[keyword], loose[keyword])
        ):
            values = before.get(keyword, "none"), after.get(keyword, "none")
            yield f"{name}: {keyword} changed from {values[0]} to {values[1]}"
    if "enum" in loose:
        for value in strict.get("enum", ["any value"]):
            if value not in loose["enum"]:
                yield f"{name}: {value} is {'not accepted' if is_request else 'a new value'}"


def _resolve(document: Json, value: Json) -> Json:
    """Returns the part of the document that a `$ref` names.

    Returns a value without `$ref` unchanged.
    """
    while "$ref" in value:
        part: Json = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            part = part[name.replace("~1", "/")]
        value = part
    return value


def _json(content: Json) -> Json:
    schema: Json = content["content"]["application/json"]["schema"]
    return schema
