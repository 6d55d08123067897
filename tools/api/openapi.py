"""Generates the OpenAPI 3.1 description of the REST API from route tables, docstrings and types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from msgspec import UNSET, Struct, UnsetType, structs

from lambdas.common.caller import CAPABILITIES, USER
from lambdas.common.ids import Id
from lambdas.common.problems import FieldError
from lambdas.common.web.access import Access
from lambdas.common.web.http import BODY_LIMIT
from lambdas.common.web.idempotency import KEY_LENGTH
from lambdas.common.web.router import Route
from tools.api.operations import Operation, list_operations
from tools.api.schemas import Schemas

VERSION = "1.0.0"
"""The version of the API's contract, not of a release."""

_RETRIED = {"conflict", "request_in_progress"}
"""Error codes of 409 responses that can have the header Retry-After.

All 429 and 503 responses can have it.
"""

_FAILURES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (500, ("internal_error",)),
    (504, ("timeout",)),
)
"""HTTP statuses and error codes that every operation can return if the platform itself fails."""

_TEXTS = {"emoji": {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["👍"]}}
"""JSON Schemas of the path parameters that are not ids."""


class Problem(Struct, frozen=True, kw_only=True, rename="camel"):
    """An error (RFC 9457). `code` identifies it for programs. `errors` lists invalid fields.

    Errors of API Gateway itself contain `correlation_id` instead of the header X-Correlation-Id.
    Clients must ignore members that are not listed here.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError]
    correlation_id: str | UnsetType = UNSET


def describe_rest_api(operations: Sequence[Operation] | None = None) -> dict[str, Any]:
    """Returns the OpenAPI document of the given operations (default: those of all services)."""
    operations = list(list_operations()) if operations is None else operations
    types = [
        *(
            type_
            for operation in operations
            for type_ in (operation.route.body, operation.response.body, operation.route.query)
            if type_ is not None
        ),
        Problem,
        Id,
    ]
    schemas = Schemas(types)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in operations:
        method = operation.route.method.lower()
        paths[operation.route.path][method] = _operation(operation, schemas)
    refusals = {
        (status, codes) for operation in operations for status, codes in _refusals(operation.route)
    }
    queries = {operation.route.query.__name__ for operation in operations if operation.route.query}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Multitask Platform",
            "version": VERSION,
            "description": "Generated from the services by `ops api`. The pages in docs/api "
            "describe what all routes have in common.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [
            {
                "url": "https://{domain}",
                "description": "An environment's REST API. `make up` prints the local address.",
                "variables": {"domain": {"default": "api.example.com"}},
            }
        ],
        "tags": [{"name": service} for service in dict.fromkeys(o.service for o in operations)],
        "paths": dict(paths),
        "components": {
            # Types of query strings are omitted, because their fields are parameters.
            "schemas": {
                name: schema for name, schema in schemas.components.items() if name not in queries
            },
            "securitySchemes": {
                "user": _bearer("The access token of a registered user, valid for 15 minutes."),
                "anonymous": _bearer(
                    "The access token of an anonymous user, valid for 60 minutes. The scopes are "
                    f"capabilities: {', '.join(CAPABILITIES)}."
                ),
            },
            "responses": {
                _refusal_name(status, codes): _refusal(status, codes)
                for status, codes in sorted(refusals)
            },
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
        },
    }


def _bearer(description: str) -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": description,
    }


_CORRELATION_ID = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "CorrelationId": {
        "name": "X-Correlation-Id",
        "in": "header",
        "description": "Identifies the request in logs, events and the response. The platform "
        "generates a new id if the header is missing or invalid.",
        "schema": _CORRELATION_ID,
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A retry with the same key and body within 24 hours returns the first "
        "response and changes nothing.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "Versions of the resource from ETag or `version`, separated by commas. The "
        "request fails with 412 if the resource has another version.",
        "schema": {"type": "string", "examples": ['"1"']},
    },
}
_RETRY_AFTER = {
    "description": "The seconds to wait before a retry.",
    "schema": {"type": "integer", "minimum": 0},
}
_HEADERS: dict[str, dict[str, Any]] = {
    "CorrelationId": {
        "description": "The id of the request in logs and events.",
        "required": True,
        "schema": _CORRELATION_ID,
    },
    "OptionalCorrelationId": {
        "description": "The id of the request in logs and events. Errors of API Gateway itself "
        "have no such header, and the id is `correlationId` in the body.",
        "schema": _CORRELATION_ID,
    },
    "ETag": {
        "description": "The version of the resource, for If-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+"$', "examples": ['"1"']},
    },
    "Location": {
        "description": "The URL of the redirect.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
    "RetryAfter": {**_RETRY_AFTER, "required": True},
    "OptionalRetryAfter": _RETRY_AFTER,
    "WwwAuthenticate": {
        "description": "The authentication scheme that the request must use.",
        "required": True,
        "schema": {"type": "string", "enum": ["Bearer"]},
    },
}
_HEADER_NAMES = {
    "CorrelationId": "X-Correlation-Id",
    "RetryAfter": "Retry-After",
    "WwwAuthenticate": "WWW-Authenticate",
}


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    route = operation.route
    described: dict[str, Any] = {
        "operationId": f"{operation.service}_{route.operation}",
        "tags": [operation.service],
        # OpenAPI allows CommonMark only in the description, not in the summary.
        "summary": operation.summary.replace("`", ""),
    }
    if operation.description:
        described["description"] = operation.description
    described["security"] = _security(route.access)
    described["parameters"] = _parameters(route, schemas)
    if route.body:
        schema = schemas.schema_of(route.body)
        described["requestBody"] = {
            "description": f"JSON in UTF-8 of at most {BODY_LIMIT} bytes.",
            "required": bool(schemas.resolve(schema).get("required")),
            "content": {"application/json": {"schema": schema, "example": schemas.example(schema)}},
        }
    described["responses"] = {
        str(route.status): _success(operation, schemas),
        **{
            str(status): {"$ref": f"#/components/responses/{_refusal_name(status, codes)}"}
            for status, codes in _refusals(route)
        },
    }
    return described


def _security(access: Access) -> list[dict[str, list[str]]]:
    if access.public:
        return []
    if access.role:
        return [{"user": [access.role]}]
    return [{"user": [USER]}, {"anonymous": [access.capability] if access.capability else []}]


def _parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": segment[1:-1],
            "in": "path",
            "required": True,
            "schema": _TEXTS[segment[1:-1]]
            if segment[1:-1] in route.text_parameters
            else schemas.schema_of(Id),
        }
        for segment in route.path.split("/")
        if segment.startswith("{")
    ]
    if route.query:
        query = schemas.resolve(schemas.schema_of(route.query))
        for field in structs.fields(route.query):
            schema = _without_null(query["properties"][field.encode_name])
            parameters.append(
                {
                    "name": field.encode_name,
                    "in": "query",
                    "required": field.required,
                    "schema": schema,
                }
            )
    names = ["CorrelationId"]
    names += ["IdempotencyKey"] if route.idempotent else []
    names += ["IfMatch"] if route.conditional else []
    return [*parameters, *({"$ref": f"#/components/parameters/{name}"} for name in names)]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Removes null from the schema of an optional parameter, because a client omits the parameter
    instead.
    """
    if schema.get("default", ...) is not None:
        return dict(schema)
    (present,) = (option for option in schema["anyOf"] if option != {"type": "null"})
    return dict(present)


def _success(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    names = ["CorrelationId"]
    names += ["ETag"] if operation.response.is_versioned else []
    names += ["Location"] if operation.route.status == HTTPStatus.FOUND else []
    response: dict[str, Any] = {
        "description": HTTPStatus(operation.route.status).phrase,
        "headers": _headers(names),
    }
    if operation.response.body is not None:
        schema = schemas.schema_of(operation.response.body)
        response["content"] = {
            "application/json": {"schema": schema, "example": schemas.example(schema)}
        }
    return response


def _refusal(status: int, codes: Sequence[str]) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    headers = ["OptionalCorrelationId"]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.append("RetryAfter")
    elif status == HTTPStatus.SERVICE_UNAVAILABLE or _RETRIED & set(codes):
        headers.append("OptionalRetryAfter")
    headers += ["WwwAuthenticate"] if status == HTTPStatus.UNAUTHORIZED else []
    constants = {"status": {"enum": [status]}, "code": {"enum": list(codes)}}
    example = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": "A sentence for people.",
        "code": codes[0],
        "errors": [],
    }
    return {
        "description": f"{title}: {', '.join(f'`{code}`' for code in codes)}.",
        "headers": _headers(headers),
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": constants},
                    ]
                },
                "example": example,
            }
        },
    }


def _refusal_name(status: int, codes: Sequence[str]) -> str:
    return ".".join([str(status), *codes])


def _headers(components: Iterable[str]) -> dict[str, dict[str, str]]:
    return {
        _HEADER_NAMES.get(header := component.removeprefix("Optional"), header): {
            "$ref": f"#/components/headers/{component}"
        }
        for component in components
    }


def _refusals(route: Route) -> list[tuple[int, tuple[str, ...]]]:
    """Returns the HTTP statuses of a route's errors, each with its possible error codes."""
    codes_by_status: dict[int, list[str]] = defaultdict(list)
    for code, status in route.errors.items():
        codes_by_status[status].append(code)
    refusals = [(status, tuple(sorted(codes))) for status, codes in codes_by_status.items()]
    return sorted([*refusals, *_FAILURES])
