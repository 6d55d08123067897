"""The generated descriptions in docs/api, and checks of responses, frames and events against them.

The checks are strict: an object may have only the properties that its schema describes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema_rs import Draft4Validator, Draft202012Validator, FancyRegexOptions, Registry

from ops.root import PROJECT

DIRECTORY = PROJECT / "docs" / "api"
OPENAPI, ASYNCAPI = DIRECTORY / "openapi.json", DIRECTORY / "asyncapi.json"

Json = Mapping[str, Any]
Schema = Json

_OPEN = {"Problem"}
"""Schemas whose objects may have other properties too. RFC 9457 allows them in problem
documents.
"""

_ANY_PROBLEM: Json = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
}
_HEADERS = ("ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Correlation-Id")
"""Headers that a response may have only if its description lists them. All other headers are always
allowed."""


class Document:
    """An API description that resolves references and validates values against its schemas."""

    def __init__(self, document: Json) -> None:
        self.content = document
        components = document["components"]["schemas"]
        strict = {name: _strict(schema, name) for name, schema in components.items()}
        self._registry = Registry([("urn:document", {"components": {"schemas": strict}})])
        self._validators: dict[str, Draft202012Validator] = {}

    def resolve(self, value: Json) -> Json:
        """Returns the part of the document to which `value` refers with `$ref`.

        Returns `value` itself if it has no `$ref`.
        """
        while "$ref" in value:
            part: Json = self.content
            for name in value["$ref"].removeprefix("#/").split("/"):
                part = part[name]
            value = part
        return value

    def validator(self, schema: Json) -> Draft202012Validator:
        """Returns the compiled validator of a schema of the document."""
        key = json.dumps(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(
                json.loads(key.replace('"#/', '"urn:document#/')),
                registry=self._registry,
                pattern_options=FancyRegexOptions(),
                validate_formats=True,
            )
        return self._validators[key]

    def errors(self, schema: Json, value: Any) -> list[str]:
        """Returns a sentence for each way in which a value violates a schema."""
        validator = self.validator(schema)
        if validator.is_valid(value):
            return []
        return [
            f"{'/'.join(map(str, error.instance_path)) or 'the value'}: {error.message[:300]}"
            for error in validator.iter_errors(value)
        ]

    def body_errors(self, headers: Mapping[str, str], body: bytes, content: Json) -> Iterator[str]:
        """Yields a sentence for each difference between a response's body and its described
        `content`.
        """
        media_type = headers.get("Content-Type", "") if body else None
        described = next(iter(content), None)
        if media_type != described:
            yield f"the content type is {media_type}, not {described}"
        elif media_type:
            yield from self.errors(content[media_type]["schema"], json.loads(body))


@dataclass(frozen=True)
class DescribedOperation:
    """An operation of the REST API, as the OpenAPI document describes it."""

    method: str
    path: str
    content: Json
    document: Document

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def id(self) -> str:
        id_: str = self.content["operationId"]
        return id_

    @property
    def service(self) -> str:
        service: str = self.content["tags"][0]
        return service

    @property
    def success(self) -> int:
        """The HTTP status of a successful response."""
        (status,) = (status for status in self.responses if status < 400)
        return status

    def parameters(self, location: str) -> list[Json]:
        """Returns the operation's parameters in one location: `path`, `query` or `header`."""
        resolved = map(self.document.resolve, self.content["parameters"])
        return [parameter for parameter in resolved if parameter["in"] == location]

    @property
    def query(self) -> Schema:
        """The schema of an object that contains the query parameters."""
        parameters = self.parameters("query")
        return {
            "properties": {p["name"]: p["schema"] for p in parameters},
            "required": [p["name"] for p in parameters if p["required"]],
        }

    @property
    def body(self) -> Schema | None:
        """The schema of the request's body, or None if the operation has no body."""
        if "requestBody" not in self.content:
            return None
        schema: Json = self.content["requestBody"]["content"]["application/json"]["schema"]
        return schema

    @functools.cached_property
    def responses(self) -> dict[int, Json]:
        """The described responses by HTTP status."""
        return {
            int(status): self.document.resolve(response)
            for status, response in self.content["responses"].items()
        }

    def find_defects(self, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
        """Yields a sentence for each difference between a response and its description."""
        response = self.responses.get(status)
        if response is None:
            yield f"{self.name} does not describe the status {status}"
            return
        for header, reference in response["headers"].items():
            described = self.document.resolve(reference)
            if header in headers:
                yield from self._header_errors(header, headers[header], described["schema"])
            elif described.get("required"):
                yield f"{self.name}, {status}: the header {header} is missing"
        for header in _HEADERS:
            if header in headers and header not in response["headers"]:
                yield f"{self.name}, {status}: the header {header} is not described"
        for error in self.document.body_errors(headers, body, response.get("content", {})):
            yield f"{self.name}, {status}: {error}"

    def _header_errors(self, header: str, value: str, schema: Json) -> Iterator[str]:
        converted = int(value) if schema["type"] == "integer" and value.isdecimal() else value
        for error in self.document.errors(schema, converted):
            yield f"{self.name}: the header {header}: {error}"


class ApiDescription:
    """The OpenAPI description.

    Attributes:
        document: the document.
        operations: the operations, in the order of the document.
    """

    def __init__(self, document: Json) -> None:
        self.document = Document(document)
        self.operations = [
            DescribedOperation(method.upper(), path, content, self.document)
            for path, methods in document["paths"].items()
            for method, content in methods.items()
        ]
        # `find` returns the first match, so a path with a literal segment must precede a path that
        # has a parameter in the same position.
        ordered = sorted(document["paths"], key=lambda path: path.replace("{", "\uffff"))
        self._templates = [(path, path.strip("/").split("/")) for path in ordered]
        self._by_route = {(o.method, o.path): o for o in self.operations}

    @classmethod
    @functools.cache
    def load(cls, file: Path = OPENAPI) -> ApiDescription:
        return cls(json.loads(file.read_text(encoding="utf-8")))

    def find(self, method: str, path: str) -> DescribedOperation | None:
        """Returns the operation for a method and a path. The path may contain a query."""
        raw = path.partition("?")[0].strip("/").split("/")
        try:
            segments = [unquote(segment, errors="strict") for segment in raw]
        except UnicodeDecodeError:
            return None
        for template, expected in self._templates:
            if len(expected) == len(segments) and all(
                name == segment or (name.startswith("{") and segment)
                for name, segment in zip(expected, segments, strict=True)
            ):
                return self._by_route.get((method.upper(), template))
        return None

    def find_defects(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        """Returns a sentence for each difference between a response and the description.

        If the description has no operation for the request, only two responses are accepted: a
        problem document, and the status 204 if the request is a CORS preflight request.
        """
        operation = self.find(method, path)
        if operation:
            return [*operation.find_defects(status, headers, body)]
        if method == "OPTIONS" and status == 204:
            return []
        if status < 400:
            return [f"{method} {path} is not described, but returned {status}"]
        name = f"{method} {path}, {status}"
        return [
            f"{name}: {error}" for error in self.document.body_errors(headers, body, _ANY_PROBLEM)
        ]


class MessageDescription:
    """The AsyncAPI description of the WebSocket API's frames.

    Attributes:
        document: the document.
        actions: the schemas of the frames that clients send, by action.
    """

    def __init__(self, document: Json) -> None:
        self.document = Document(document)
        self._frames = document["channels"]["socket"]["messages"]
        self.actions: dict[str, Schema] = {
            action: self._frames[action]["payload"]["allOf"][0]
            for action, operation in document["operations"].items()
            if operation["action"] == "receive"
        }

    @classmethod
    @functools.cache
    def load(cls) -> MessageDescription:
        return cls(json.loads(ASYNCAPI.read_text(encoding="utf-8")))

    def find_defects(self, frame: Json) -> list[str]:
        """Returns a sentence for each difference between a server's frame and its description."""
        is_ack = frame["type"] == "ack"
        name = f"{frame['action']}.ack" if is_ack else frame["type"]
        if name not in self._frames:
            return [f"the frame {name} is not described"]
        errors = self.document.errors(self._frames[name]["payload"], frame)
        return [f"the frame {name}: {error}" for error in errors]


@functools.cache
def event_validator(source: str, type_: str) -> Draft4Validator:
    """Returns a validator of the events with this source and type.

    It uses the schema that docs/api/events contains for EventBridge's schema registry.
    """
    file = DIRECTORY / "events" / f"{source}@{type_}.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    schema["components"]["schemas"] = {
        name: _strict(component, name)
        for name, component in schema["components"]["schemas"].items()
    }
    return Draft4Validator(schema, pattern_options=FancyRegexOptions(), validate_formats=True)


def _strict(schema: Json, name: str) -> Json:
    if schema.get("type") != "object" or name in _OPEN:
        return schema
    return {"additionalProperties": False, **schema}
