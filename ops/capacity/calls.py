"""Loads calls.yml, the measured AWS calls of each route, WebSocket frame and event."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from ops.capacity.document import StrictModel, read_yaml, validate_document

FILE = Path(__file__).with_name("calls.yml")
PER_LISTENER = "per listener"
"""Name of the row in calls.yml with the calls for each additional listener of a room."""


class Row(StrictModel):
    """The AWS calls, capacity units, cache commands and SQL statements of one request, frame or
    event.
    """

    calls: Mapping[str, int] = {}
    """AWS calls by `service.Operation`."""
    units: Mapping[str, float] = {}
    """DynamoDB capacity units by table or index and by kind.

    Example keys are `chat-rooms writes` and `chat-rooms/room-type-index reads`.
    """
    cache: int = 0
    statements: int = 0


class _Rows(StrictModel):
    rows: Mapping[str, Row]


@functools.cache
def load_rows(file: Path = FILE) -> Mapping[str, Row]:
    """Returns the rows of calls.yml by the name of the request, frame or event.

    Examples of names are `GET /v1/posts`, `frame ping` and `event deliver a frame`.
    """
    return validate_document(_Rows, {"rows": read_yaml(file)}, file).rows
