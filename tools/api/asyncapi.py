"""Generates the AsyncAPI 3 description of the WebSocket API and the event bus from Python types."""

from __future__ import annotations

from typing import Any

from lambdas.bus_events import EVENTS, Detail
from lambdas.chat.models import FRAMES
from lambdas.common.messaging.events import SOURCE_PREFIX
from lambdas.server_frames import ACKS, SERVER_FRAMES, Error
from tools.api.openapi import VERSION
from tools.api.schemas import Schemas

SOCKET = "#/channels/socket"
BUS = "#/channels/bus"


def describe_messages() -> dict[str, Any]:
    """Returns the AsyncAPI document."""
    details = {type_: Detail[type_] for types in EVENTS.values() for type_ in types}  # type: ignore[valid-type]
    schemas = Schemas([*FRAMES.values(), *ACKS.values(), *SERVER_FRAMES, *details.values()])
    socket = {
        **{
            action: _message(schemas, type_, f"Requests the action `{action}`.", action=action)
            for action, type_ in FRAMES.items()
        },
        **{
            f"{action}.ack": _message(schemas, type_, action=action)
            for action, type_ in ACKS.items()
        },
        **{str(type_.__struct_config__.tag): _message(schemas, type_) for type_ in SERVER_FRAMES},
    }
    bus = {
        type_.__name__: {
            **_message(schemas, detail, schemas.components[type_.__name__]["description"]),
            "headers": _properties(
                {"source": SOURCE_PREFIX + service, "detail-type": type_.__name__}
            ),
        }
        for service, types in EVENTS.items()
        for type_, detail in ((type_, details[type_]) for type_ in types)
    }
    error = str(Error.__struct_config__.tag)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Multitask Platform: WebSocket frames and events",
            "version": VERSION,
            "description": "Generated from the services by `ops api`. docs/api/websocket.md and "
            "docs/architecture/events.md describe the behaviour.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "websocket": {
                "host": "{domain}",
                "protocol": "wss",
                "description": "The WebSocket API of an environment. `make up` prints the local "
                "address.",
                "variables": {"domain": {"default": "ws.example.com"}},
            },
            "eventbridge": {
                "host": "events.amazonaws.com",
                "protocol": "eventbridge",
                "description": "The event bus of an environment, in its AWS account.",
            },
        },
        "channels": {
            "socket": {
                "address": "/",
                "servers": [{"$ref": "#/servers/websocket"}],
                "description": "A connection. `POST /v1/chat/tickets` returns its ticket.",
                "messages": socket,
                "bindings": {
                    "ws": {
                        "query": {
                            "type": "object",
                            "required": ["ticket"],
                            "properties": {"ticket": {"type": "string"}},
                        }
                    }
                },
            },
            "bus": {
                "address": "multitask-events-{environment}",
                "servers": [{"$ref": "#/servers/eventbridge"}],
                "description": "The payload is the `detail` of the event.",
                "parameters": {"environment": {"examples": ["dev", "prod"]}},
                "messages": bus,
            },
        },
        "operations": {
            **{
                action: {
                    "action": "receive",
                    "channel": {"$ref": SOCKET},
                    "messages": _references(SOCKET, [action]),
                    "reply": {
                        "channel": {"$ref": SOCKET},
                        "messages": _references(SOCKET, [f"{action}.ack", error]),
                    },
                }
                for action in FRAMES
            },
            "announce": {
                "action": "send",
                "channel": {"$ref": SOCKET},
                "messages": _references(
                    SOCKET, [str(type_.__struct_config__.tag) for type_ in SERVER_FRAMES]
                ),
            },
            **{
                f"publish_{service}": {
                    "action": "send",
                    "channel": {"$ref": BUS},
                    "messages": _references(BUS, [type_.__name__ for type_ in types]),
                }
                for service, types in EVENTS.items()
            },
        },
        "components": {"schemas": schemas.components},
    }


def describe_events_for_registry() -> dict[str, dict[str, Any]]:
    """Returns the schema of each event for EventBridge's schema registry, by schema name.

    Each schema has the type JSONSchemaDraft4, and includes the fields that EventBridge adds.
    """
    registry_schemas = {}
    for service, types in EVENTS.items():
        for type_ in types:
            schemas = Schemas([Detail[type_]])  # type: ignore[valid-type]
            source = SOURCE_PREFIX + service
            text = {"type": "string"}
            fields = {
                **_properties({"source": source, "detail-type": type_.__name__})["properties"],
                **dict.fromkeys(("version", "id", "account", "time", "region"), text),
                "resources": {"type": "array", "items": text},
                "detail": schemas.schema_of(Detail[type_]),  # type: ignore[valid-type]
            }
            registry_schemas[f"{source}@{type_.__name__}"] = {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "title": type_.__name__,
                "description": schemas.components[type_.__name__]["description"],
                "type": "object",
                "required": list(fields),
                "properties": fields,
                "components": {"schemas": schemas.components},
            }
    return registry_schemas


def _message(
    schemas: Schemas, type_: Any, description: str | None = None, **constants: str
) -> dict[str, Any]:
    """Returns the AsyncAPI message of a type. `constants` are the fixed values of its fields."""
    schema = schemas.schema_of(type_)
    return {
        "description": description or schemas.resolve(schema)["description"],
        "payload": {"allOf": [schema, _properties(constants)]} if constants else schema,
        "examples": [{"payload": {**schemas.example(schema), **constants}}],
    }


def _properties(constants: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "enum": [value]} for name, value in constants.items()
        },
    }


def _references(channel: str, names: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"{channel}/messages/{name}"} for name in names]
