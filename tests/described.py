"""Compares responses, frames and events with the types from which docs/api is generated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from lambdas.bus_events import EVENTS, Detail
from lambdas.common.web.router import Operation, Route
from lambdas.server_frames import ACKS, SERVER_FRAMES
from tools.api.operations import read_response

UNDOCUMENTED = {500, 504}
"""Statuses of failures of the platform itself. Any route may return them without declaring them."""

_DETAILS = {type_.__name__: Detail[type_] for types in EVENTS.values() for type_ in types}  # type: ignore[valid-type]
_FRAMES = {type_.__struct_config__.tag: type_ for type_ in SERVER_FRAMES}


def is_declared(operation: Operation) -> bool:
    """Returns True if the operation declares a response type. The tests' fakes declare none."""
    return "Any" not in str(get_type_hints(operation).get("return", Any))


def check_response(
    route: Route, operation: Operation, status: int, headers: Mapping[str, str], text: str
) -> None:
    """Asserts that a response has the status, headers and body that its route declares."""
    name = f"{route.method} {route.path}"
    if status in UNDOCUMENTED:
        return
    if status >= 400:
        code = json.loads(text)["code"]
        assert route.errors.get(code) == status, f"{name} does not declare {status} {code}"
        return
    assert status == route.status, f"{name} declares {route.status}, not {status}"
    declared = read_response(operation)
    lower = {header.lower() for header in headers}
    assert ("etag" in lower) == declared.is_versioned, (
        f"{name}: is_versioned is {declared.is_versioned}, but the headers are {sorted(lower)}. "
        "A response must have an ETag if and only if is_versioned is True."
    )
    assert ("location" in lower) == (status == 302), (
        f"{name}: the status is {status}, but the headers are {sorted(lower)}. "
        "A response must have a Location if and only if its status is 302."
    )
    if declared.body is None:
        assert not text, f"{name} declares no body, but returned {text[:100]!r}"
    else:
        _check(json.loads(text), declared.body, name)


def check_frame(frame: Mapping[str, Any]) -> None:
    """Asserts that a frame from the server has the fields that its type declares."""
    if frame["type"] == "ack":
        _check(frame, ACKS[frame["action"]], f"ack {frame['action']}")
    else:
        _check(frame, _FRAMES[frame["type"]], frame["type"])


def check_event(event_type: str, detail: Mapping[str, Any]) -> None:
    """Asserts that the detail of an event has the fields that its type declares."""
    _check(detail, _DETAILS[event_type], event_type)


def _check(value: Any, type_: Any, name: str) -> None:
    """Asserts that a JSON value has the fields of a type and no others."""
    try:
        converted = json.loads(msgspec.json.encode(msgspec.convert(value, type_)))
    except msgspec.ValidationError as error:
        raise AssertionError(f"{name}: {error}") from error
    assert converted == value, f"{name}: {value} does not have exactly the fields of {type_}"
