"""Reads YAML files into strict models, and reports every error with file, key and value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from environments.loader import UniqueKeyLoader
from ops.errors import OperatorError


class StrictModel(BaseModel):
    """Base class for the parts of a YAML file. Rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=StrictModel)


def read_yaml(file: Path) -> dict[str, Any]:
    """Returns the mapping that a YAML file contains.

    Raises:
        OperatorError: The file does not exist, is not YAML, or contains no mapping.
    """
    try:
        text = file.read_text(encoding="utf-8")
        document = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"Cannot read {file} ({error}): use a readable UTF-8 file") from error
    except yaml.YAMLError as error:
        raise OperatorError(f"{file}: invalid YAML: {error}") from error
    if not isinstance(document, dict):
        raise OperatorError(
            f"{file}: expected a mapping of keys to values, not {type(document).__name__}"
        )
    return document


def validate_document(model: type[T], document: Mapping[str, Any], file: Path) -> T:
    """Validates the contents of a YAML file, and returns them as an instance of `model`.

    Raises:
        OperatorError: The document is invalid. The message has one line for each error.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise OperatorError(
            "\n".join(
                f"{file}: {'.'.join(map(str, item['loc'])) or 'file'}:"
                f" {item['input']!r}: {_reason(item)}"
                for item in error.errors()
            )
        ) from error


def _reason(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key: remove it, or correct its spelling"
    if item["type"] == "missing":
        return "missing key: add it"
    return str(item["msg"]).removeprefix("Value error, ")
