"""Loads the measured AWS calls of every route, frame and event, calls.yml."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from ops.capacity.document import Strict, read_yaml, validated

FILE = Path(__file__).with_name("calls.yml")
PER_LISTENER = "per listener"
"""The row with the costs of a further listener."""


class Row(Strict):
    """The AWS calls and the other work of one request, frame or event (see bench/aws_calls)."""

    calls: Mapping[str, int] = {}
    """AWS calls by `service.Operation`."""
    units: Mapping[str, float] = {}
    """DynamoDB capacity units by `table reads` or `table/index writes`."""
    cache: int = 0
    statements: int = 0


class _Rows(Strict):
    rows: Mapping[str, Row]


@functools.cache
def load_rows(file: Path = FILE) -> Mapping[str, Row]:
    """Returns the rows by request, such as `GET /v1/posts`, `frame ping` or `event ...`."""
    return validated(_Rows, {"rows": read_yaml(file)}, file).rows
