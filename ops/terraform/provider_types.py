"""Reads facts about resource types from the schemas of the provider and of CloudFormation."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("provider_types.json")
"""JSON file with facts about resource types. `python -m tools.provider_types` writes it from
`terraform providers schema -json` and the CloudFormation registry. Each type has lists of
attributes (`computed`, `secret`, `create_only`). A type that holds data also has `stateful`, the
name of its CloudFormation type.
"""


def is_known(type_: str) -> bool:
    """Returns True if the provider's schema contains the type."""
    return type_ in _document()["types"]


def is_stateful(type_: str) -> bool:
    """Returns True if the type holds data according to cfn-lint's list of stateful types."""
    return "stateful" in _facts(type_)


def computed_attributes(type_: str) -> frozenset[str]:
    """Returns the attributes that a configuration cannot set. Empty for an unknown type."""
    return _paths(type_, "computed")


def secret_attributes(type_: str) -> frozenset[str]:
    """Returns the attributes that contain secrets, according to the provider or CloudFormation."""
    return _paths(type_, "secret")


def create_only_attributes(type_: str) -> frozenset[str]:
    """Returns the attributes that CloudFormation can set only when it creates the resource."""
    return _paths(type_, "create_only")


def provider_version() -> str:
    """Returns the version of the AWS provider from whose schema FILE was written."""
    return str(_document()["provider"])


def registry_package() -> str:
    """Returns the package from whose CloudFormation schemas FILE was written.

    The result contains the package's version, for example `cfn-lint==1.58.0`.
    """
    return str(_document()["schemas"])


@functools.cache
def _paths(type_: str, role: str) -> frozenset[str]:
    return frozenset(_facts(type_).get(role, ()))


def _facts(type_: str) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = _document()["types"].get(type_, {})
    return facts


@functools.cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document
