"""Loads usage files. A usage file describes how much an environment is used in a month.

`types` contains quantities by resource type, such as `writes`. `resources` overrides them for
single resources, by construct path. The value of an entry such as `writes_per_request` is
multiplied by `requests` and added to `writes`. `like` names a usage file that contains the
defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ops.errors import OperatorError

SAMPLES = Path(__file__).with_name("usage")
DEFAULT = "1m"
PER_REQUEST = "_per_request"
HOURS = 730.0
"""Hours per month: 8,760 / 12, as in the AWS Pricing Calculator."""

Quantities = Mapping[str, float]


class Usage(BaseModel):
    """The usage of a month."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    requests: float = Field(ge=0)
    """Requests to the REST API per month."""
    hours: float = Field(default=HOURS, gt=0, le=744)
    types: Mapping[str, Quantities] = {}
    resources: Mapping[str, Quantities] = {}
    """Quantities by construct path, for example `auth/function/function`."""

    def of(self, type_: str, path: str) -> dict[str, float]:
        """Returns the monthly quantities of a resource.

        Multiplies each `_per_request` entry by the requests, and adds it to the entry without the
        suffix.
        """
        merged = {**self.types.get(type_, {}), **self.resources.get(path, {})}
        result: dict[str, float] = {}
        for key, value in merged.items():
            name = key.removesuffix(PER_REQUEST)
            result[name] = result.get(name, 0.0) + (value * self.requests if key != name else value)
        return result


def samples() -> list[str]:
    """Returns the names of the usage files in this package."""
    return sorted(file.stem for file in SAMPLES.glob("*.yml") if not file.stem.startswith("_"))


def load_usage(name: str) -> Usage:
    """Reads a usage file.

    Args:
        name: the name of a sample (`idle`, `1m`, `100m`) or the path of a file.

    Raises:
        OperatorError: the file does not exist or is invalid.
    """
    file = SAMPLES / f"{name}.yml" if name in samples() else Path(name)
    try:
        return Usage.model_validate(_document(file))
    except FileNotFoundError as error:
        raise OperatorError(
            f"The usage file {name} does not exist: use a path or one of {', '.join(samples())}"
        ) from error
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise OperatorError(f"{file} is not a usage file: {error}") from error


def _document(file: Path) -> dict[str, Any]:
    document = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    if not isinstance(document, dict):
        raise OperatorError(
            f"{file} is not a usage file: write keys and values as in {SAMPLES}/{DEFAULT}.yml"
        )
    like = document.pop("like", None)
    if like is None:
        return document
    base = _document(file.parent / like)
    merged = {**base, **document}
    for part in ("types", "resources"):
        below, above = base.get(part, {}), document.get(part, {})
        merged[part] = {
            key: {**below.get(key, {}), **above.get(key, {})} for key in [*below, *above]
        }
    return merged
