"""Extracts the valid part of an invalid environment, so that rules.py can check it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from environments.model import Environment, Section

Location = tuple[int | str, ...]


def valid_part(document: Mapping[str, Any], error: ValidationError) -> Environment:
    """Returns an environment without its invalid values. Reading one raises AttributeError.

    Args:
        document: The document that failed validation.
        error: The validation error.
    """
    wrong = {tuple(part for part in item["loc"] if part != "[key]") for item in error.errors()}
    environment: Environment = _section(Environment, document, (), wrong)
    return environment


def _section(model: type[Section], value: Any, location: Location, wrong: set[Location]) -> Any:
    section = model.model_construct()
    given = value if isinstance(value, dict) else {}
    for name, field in model.model_fields.items():
        here = (*location, name)
        inner = _model(field.annotation)
        # A list with an invalid element is removed. A nested section keeps its valid values.
        depth = None if inner and get_origin(field.annotation) is not list else len(here)
        if location in wrong or any(item[:depth] == here for item in wrong):
            section.__dict__.pop(name, None)
        elif name in given:
            section.__dict__[name] = _value(field.annotation, inner, given[name], here, wrong)
    return section


def _value(
    annotation: Any,
    inner: type[Section] | None,
    value: Any,
    location: Location,
    wrong: set[Location],
) -> Any:
    if inner is None or value is None:
        return value
    if get_origin(annotation) is list:
        return [
            _section(inner, item, (*location, number), wrong) for number, item in enumerate(value)
        ]
    if get_origin(annotation) is dict:
        return {key: _section(inner, item, (*location, key), wrong) for key, item in value.items()}
    return _section(inner, value, location, wrong)


def _model(annotation: Any) -> type[Section] | None:
    """Returns the section's model in a field's annotation, even if optional or in a container."""
    candidates = (annotation, *get_args(annotation))
    return next(
        (item for item in candidates if isinstance(item, type) and issubclass(item, Section)), None
    )
