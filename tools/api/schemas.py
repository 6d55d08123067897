"""Generates JSON Schemas and examples of the types in requests, responses, frames and events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id
from lambdas.profile.timezones import Timezone

REFERENCE = "#/components/schemas/"

_NAMED = {"Id": Id, "Timestamp": Timestamp, "Timezone": Timezone}
"""Types other than Structs that become components of the document, because many Structs use
them.
"""

_PYTHON_SYNTAX = [
    # JSON Schema uses the regular expressions of ECMA 262, whose escapes differ from Python's.
    (re.compile(r"\\Z"), "$"),
    (re.compile(r"\\U0*([0-9a-fA-F]+)"), r"\\u{\1}"),
    (re.compile(r"\\(?=[\"'`])"), ""),
    # In Python, \w and \d match all letters and digits of Unicode.
    (re.compile(r"\[\^\\W\\d_\]"), r"\\p{L}"),
    (re.compile(r"\[\^\\W_\)?\]"), r"[\\p{L}\\p{N}]"),
]


class Schemas:
    """The schemas of a document's components."""

    def __init__(self, types: Sequence[Any]) -> None:
        """`types` are types of JSON values. Their Structs become components."""
        unique = list(dict.fromkeys([*types, *_NAMED.values()]))
        schemas, components = msgspec.json.schema_components(
            unique, ref_template=REFERENCE + "{name}", schema_hook=lambda _: {"type": "string"}
        )
        converted = {type_: _convert(schema) for type_, schema in zip(unique, schemas, strict=True)}
        named = {name: converted[type_] for name, type_ in _NAMED.items()}
        self._schemas: dict[Any, dict[str, Any]] = {
            type_: _refer(schema, named) for type_, schema in converted.items()
        }
        structs = {
            _plain_name(name): _refer(_convert(schema), named)
            for name, schema in sorted(components.items())
        }
        text = str([structs, *(self._schemas[type_] for type_ in types)])
        used = {name: schema for name, schema in named.items() if f"'{REFERENCE}{name}'" in text}
        self.components = used | structs
        """The schemas of the components by name."""
        self._open: list[Mapping[str, Any]] = []
        """The objects whose examples are being built, outermost first."""

    def schema_of(self, type_: Any) -> dict[str, Any]:
        """Returns the schema of a type, which is a reference if the type is a Struct."""
        return self._schemas[type_]

    def resolve(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the schema, or the component that it refers to."""
        name = schema.get("$ref", "").removeprefix(REFERENCE)
        return dict(self.components[name] if name else schema)

    def example(self, schema: Mapping[str, Any], name: str = "text") -> Any:
        """Returns a value that the schema accepts.

        `name` is the field's name. It becomes the value of strings that have no example.
        """
        schema = self.resolve(schema)
        for choices in ("examples", "enum"):
            if choices in schema:
                return schema[choices][0]
        if "anyOf" in schema:
            return self.example(schema["anyOf"][0], name)
        if schema["type"] == "object":
            return self._object(schema)
        if schema["type"] == "array":
            is_recursive = self.resolve(schema["items"]) in self._open
            return [] if is_recursive else [self.example(schema["items"], name)]
        default = schema.get("default")
        number = default or schema.get("minimum") or 1
        scalars = {"string": name, "integer": number, "number": number, "boolean": bool(default)}
        return scalars[schema["type"]]

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        # The example of a request body contains only the required fields, or all fields if none is
        # required.
        is_body = schema.get("additionalProperties") is False
        required = schema.get("required", ())
        names = [name for name in properties if name in required or not (is_body and required)]
        self._open.append(schema)
        values = {name: self.example(properties[name], name) for name in names}
        self._open.pop()
        entries = schema.get("additionalProperties")
        if isinstance(entries, Mapping):
            name = self.example({"type": "string", **schema.get("propertyNames", {})}, "name")
            values[name] = self.example(entries)
        return values


def _convert(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns a schema of msgspec with ECMA's patterns and with the names that clients use."""
    converted: dict[str, Any] = {}
    for key, value in schema.items():
        # The title of a schema repeats the name of the component, so it is omitted. A property
        # named `title` is kept: its value is a schema, not a string.
        if key == "title" and isinstance(value, str):
            continue
        match key, value:
            case "$ref", _:
                name = value.removeprefix(REFERENCE)
                converted[key] = REFERENCE + _plain_name(name)
            case "pattern", str():
                converted[key] = _ecma_pattern(value)
            case "description", str():
                converted[key] = _describe(value, schema.get("properties", {}))
            case _, dict():
                converted[key] = _convert(value)
            case _, list() | tuple():
                items = [_convert(item) if isinstance(item, dict) else item for item in value]
                converted[key] = items
            case _:
                converted[key] = value
    return converted


def _refer(value: Any, named: Mapping[str, Any]) -> Any:
    """Replaces each schema that equals a component by a reference to the component."""
    for name, schema in named.items():
        if value == schema:
            return {"$ref": REFERENCE + name}
    match value:
        case dict():
            return {key: _refer(entry, named) for key, entry in value.items()}
        case list():
            return [_refer(entry, named) for entry in value]
    return value


def _plain_name(name: str) -> str:
    """Returns the name of a component: `PostViewPage` for msgspec's `Page_PostView_`."""
    assert "." not in name, f"two types have the same name: {name}"
    generic, _, argument = name.rstrip("_").partition("_")
    return argument + generic


def _ecma_pattern(pattern: str) -> str:
    for python, ecma in _PYTHON_SYNTAX:
        pattern = python.sub(ecma, pattern)
    return pattern


def _describe(text: str, properties: Mapping[str, Any]) -> str:
    """Returns a docstring with JSON's names and values (`authorId`, null) instead of Python's."""

    def encoded(match: re.Match[str]) -> str:
        first, *others = match[1].split("_")
        name = first + "".join(map(str.capitalize, others))
        return f"`{name}`" if name in properties else match[0]

    text = re.sub(r"`([a-z_]+)`", encoded, " ".join(text.split()))
    for python, json in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{python}\b", json, text)
    return text
