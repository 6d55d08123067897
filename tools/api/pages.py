"""Renders the reference pages in docs/api/reference from the OpenAPI and AsyncAPI documents."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

_NOTE = "`ops api` generates this page from [{name}](../{name})."
_TYPES = "types.md"
_TRACED = "X-Correlation-Id"
"""The header that all requests accept and all responses have."""
_MOST_VALUES = 30
"""Maximum number of allowed values that a page lists. For more values, it states their number."""
_LONGEST_PATTERN = 40
"""Maximum length of a regular expression on a page, in characters.

The page omits longer patterns. Their descriptions state the rule in words.
"""


def render_pages(openapi: Json, asyncapi: Json) -> dict[str, str]:
    """Returns the text of each reference page by the page's name."""
    rest, messages = _Pages(openapi), _Pages(asyncapi)
    services = [tag["name"] for tag in openapi["tags"]]
    pages = {f"{service}.md": rest.service(service) for service in services}
    pages[_TYPES] = rest.types()
    pages["frames.md"] = messages.frames()
    pages["events.md"] = messages.events()
    return {name: "\n".join(_trimmed(lines)) + "\n" for name, lines in pages.items()}


class _Pages:
    """Renders the reference pages of one document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Json = document["components"]["schemas"]

    def service(self, service: str) -> Iterator[str]:
        operations = [
            (f"{method.upper()} {path}", operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
            if operation["tags"] == [service]
        ]
        yield from _heading(f"Reference: {service}", "openapi.json")
        yield from _wrap(
            f"All operations accept and return `{_TRACED}` ([tracing](../README.md#tracing)). A "
            "question mark marks optional parameters."
        )
        yield ""
        yield from _table(
            ("operation", "callers", "summary"),
            [
                (f"[`{name}`](#{_anchor(name)})", _callers(operation), operation["summary"])
                for name, operation in operations
            ],
        )
        for name, operation in operations:
            yield from ("", f"## {name}", "")
            yield from self._operation(operation)

    def _operation(self, operation: Json) -> Iterator[str]:
        yield from _wrap(f"{operation['summary']} {operation.get('description', '')}")
        yield from ("", *_wrap(f"Callers: {_callers(operation)}."), "")
        parameters = [self._resolve(parameter) for parameter in operation["parameters"]]
        yield from _table(
            ("parameter", "in", "value", "description"),
            [
                (
                    f"`{parameter['name']}`{'' if parameter.get('required') else '?'}",
                    parameter["in"],
                    self._type(parameter["schema"]),
                    parameter.get("description") or self._rule(parameter["schema"]),
                )
                for parameter in parameters
                if parameter["name"] != _TRACED
            ],
        )
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            needed = "required" if operation["requestBody"]["required"] else "optional"
            yield from ("", f"Body, {needed}: {self._type(content['schema'])}. For example:", "")
            yield from _example(content["example"])
        yield ""
        responses = {
            status: self._resolve(response) for status, response in operation["responses"].items()
        }
        yield from _table(
            ("status", "body or codes", "headers"),
            [
                (
                    status,
                    self._content(response),
                    _names(name for name in response["headers"] if name != _TRACED),
                )
                for status, response in responses.items()
            ],
        )

    def _content(self, response: Json) -> str:
        for media_type, content in response.get("content", {}).items():
            if media_type == "application/json":
                return self._type(content["schema"])
            codes: Sequence[str] = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
            return _names(codes)
        return ""

    def types(self) -> Iterator[str]:
        yield from _heading("Reference: types of requests and responses", "openapi.json")
        yield from _wrap(
            "A question mark marks optional fields. Responses always contain the fields without a "
            "question mark."
        )
        yield from self._types(self._schemas)

    def _types(self, names: Iterable[str]) -> Iterator[str]:
        for name in sorted(names):
            schema = self._schemas[name]
            yield from ("", f"## {name}", "")
            if schema.get("type") != "object":
                rule = f" It {schema['description']}." if "description" in schema else ""
                yield from _wrap(f"Type: {self._type(schema)}.{rule}")
                continue
            yield from (*_wrap(schema.get("description", "")), "")
            yield from self._fields(schema)

    def frames(self) -> Iterator[str]:
        channel = self._document["channels"]["socket"]["messages"]
        operations = self._document["operations"]
        yield from _heading("Reference: frames of the WebSocket API", "asyncapi.json")
        yield "## Frames from the client"
        for action, operation in operations.items():
            if operation["action"] != "receive":
                continue
            yield from ("", f"### {action}", "")
            yield from self._payload(channel[action])
            ack = channel[f"{action}.ack"]
            yield from (
                "",
                *_wrap(f"The response is `error` or this `ack`. {ack['description']}"),
                "",
            )
            yield from self._payload(ack)
        yield from ("", "## Frames from the server")
        for reference in operations["announce"]["messages"]:
            name = reference["$ref"].rpartition("/")[2]
            yield from ("", f"### {name}", "", *_wrap(channel[name]["description"]), "")
            yield from self._payload(channel[name])
        yield from self._nested_types(_references(self._document["channels"]["socket"]))

    def events(self) -> Iterator[str]:
        yield from _heading("Reference: events on the bus", "asyncapi.json")
        yield from _wrap(
            "The table of an event shows `data` in the event's `detail`, which also has `eventId`, "
            "`occurredAt`, `correlationId` and `actorId`. `docs/api/events` has a JSON Schema "
            "of each event for EventBridge's schema registry."
        )
        shown: set[str] = set()
        for name, message in self._document["channels"]["bus"]["messages"].items():
            source = message["headers"]["properties"]["source"]["enum"][0]
            yield from ("", f"## {name}", "", *_wrap(message["description"]), "")
            yield from (f"Source: `{source}`. For example:", "")
            yield from _example(message["examples"][0]["payload"])
            yield ""
            data = self._resolve(message["payload"])["properties"]["data"]
            shown |= _references(data)
            yield from self._fields(data)
        yield from self._nested_types(shown)

    def _payload(self, message: Json) -> Iterator[str]:
        parts = message["payload"].get("allOf", [message["payload"]])
        yield from self._fields(parts[0])
        yield from ("", *_example(message["examples"][0]["payload"]))

    def _nested_types(self, shown: set[str]) -> Iterator[str]:
        """Yields the types to which the types in `shown` refer, and that are not in `shown`."""
        pending, reachable = shown, set(shown)
        while pending:
            pending = _references([self._schemas[name] for name in pending]) - reachable
            reachable |= pending
        yield from self._types(reachable - shown)

    def _fields(self, schema: Json) -> Iterator[str]:
        schema = self._resolve(schema)
        fields = schema.get("properties", {})
        if not fields:
            yield "No fields."
            return
        required = schema.get("required", ())
        yield from _table(
            ("field", "value", "description"),
            [
                (
                    f"`{name}`{'' if name in required else '?'}",
                    self._type(field),
                    self._rule(field),
                )
                for name, field in fields.items()
            ],
        )

    def _resolve(self, value: Json) -> Json:
        while "$ref" in value:
            part: Json = self._document
            for name in value["$ref"].removeprefix("#/").split("/"):
                part = part[name]
            value = part
        return value

    def _rule(self, schema: Json) -> str:
        """Returns the rules for the values of a schema: the descriptions that start with `must`."""
        # The rule of a named type is omitted, because it is on the page of types.
        rules = [option.get("description", "") for option in schema.get("anyOf", [schema])]
        return "; ".join(rule for rule in rules if rule.startswith("must"))

    def _type(self, schema: Json) -> str:
        """Returns the type of a value, with its limits."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            page = "" if "channels" in self._document else _TYPES
            return f"[{name}]({page}#{name.lower()})"
        if "anyOf" in schema:
            return " or ".join(self._type(option) for option in schema["anyOf"])
        if "enum" in schema:
            values = schema["enum"]
            return _names(values) if len(values) <= _MOST_VALUES else f"one of {len(values)} values"
        return f"{self._plain_type(schema)}{_limits(schema)}"

    def _plain_type(self, schema: Json) -> str:
        match schema["type"]:
            case "array":
                return f"list of {self._type(schema['items'])}"
            case "object" if isinstance(schema.get("additionalProperties"), Mapping):
                return f"object with values {self._type(schema['additionalProperties'])}"
            case type_:
                return str(type_)


def _references(value: Any) -> set[str]:
    """Returns the names of the types that a part of the document refers to."""
    return set(re.findall(r"#/components/schemas/(\w+)", json.dumps(value)))


def _limits(schema: Json) -> str:
    unit = {"string": " characters", "array": " items", "object": " entries"}.get(
        schema["type"], ""
    )
    low = next((schema[key] for key in ("minimum", "minLength", "minItems") if key in schema), None)
    keys = ("maximum", "maxLength", "maxItems", "maxProperties")
    high = next((schema[key] for key in keys if key in schema), None)
    parts = []
    if low is not None and high is not None:
        parts.append(f"{low} to {high}{unit}")
    elif high is not None:
        parts.append(f"at most {high}{unit}")
    elif low is not None:
        parts.append(f"at least {low}{unit}")
    parts += [f"format {schema['format']}"] if "format" in schema else []
    pattern = schema.get("pattern", "")
    parts += [f"pattern `{pattern}`"] if 0 < len(pattern) <= _LONGEST_PATTERN else []
    default = schema.get("default")
    parts += [f"default `{json.dumps(default)}`"] if default not in (None, {}, []) else []
    return "".join(f", {part}" for part in parts)


def _callers(operation: Json) -> str:
    callers = []
    for option in operation["security"]:
        for scheme, scopes in option.items():
            if scheme == "user":
                roles = [scope for scope in scopes if scope != "user"]
                callers.append(
                    f"users with the role {_names(roles)}" if roles else "registered users"
                )
            else:
                suffix = f" with the capability {_names(scopes)}" if scopes else ""
                callers.append(f"anonymous users{suffix}")
    return ", and ".join(callers) or "everybody, without a token"


def _names(names: Iterable[Any]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _heading(title: str, document: str) -> list[str]:
    return [f"# {title}", "", _NOTE.format(name=document), ""]


def _example(value: Any) -> list[str]:
    return ["```json", *json.dumps(value, indent=2, ensure_ascii=False).splitlines(), "```"]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"| {' | '.join(titles)} |"
    yield f"| {' | '.join('---' for _ in titles)} |"
    for row in rows:
        cells = [cell.replace("|", r"\|") for cell in row]
        yield f"| {' | '.join(cells)} |"


def _trimmed(lines: Iterator[str]) -> Iterator[str]:
    """Yields the lines without trailing spaces, and with at most one empty line in sequence."""
    previous = ""
    for line in map(str.rstrip, lines):
        if line or previous:
            yield line
        previous = line
