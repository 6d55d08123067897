"""Lists the attributes of each resource type that only the provider sets, by its schema."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("provider_types.json")
"""Written by `python -m tools.provider_types`, from `terraform providers schema -json`."""


@functools.cache
def computed_attributes(type_: str) -> frozenset[str]:
    """Returns the attributes that no program can set. An unknown type has none."""
    return frozenset(_document()["computed"].get(type_, ()))


def provider_version() -> str:
    """Returns the version of the provider whose schema is in the file."""
    return str(_document()["provider"])


@functools.cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document
