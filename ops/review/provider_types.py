"""Reads which attributes of each resource type only the provider can set."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("provider_types.json")
"""`python -m tools.provider_types` writes this file from `terraform providers schema -json`."""


@functools.cache
def computed_attributes(type_: str) -> frozenset[str]:
    """Returns the attributes that a configuration cannot set. Empty for an unknown type."""
    return frozenset(_document()["computed"].get(type_, ()))


def provider_version() -> str:
    """Returns the version of the AWS provider whose schema is in FILE."""
    return str(_document()["provider"])


@functools.cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document
