"""Extracts the valid part of an invalid environment, so that rules.py can check that part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from environments.model import Environment, Section

Location = tuple[int | str, ...]


def valid_part(document: Mapping[str, Any], error: ValidationError) -> Environment:
    """Returns the environment without its invalid values.

    Reading a removed value raises AttributeError.

    Args:
        document: The document that failed validation.
        error: The validation error.
    """
    invalid = {tuple(part for part in item["loc"] if part != "[key]") for item in error.errors()}
    environment: Environment = _build_section(Environment, document, (), invalid)
    return environment


def _build_section(
    model: type[Section], value: Any, location: Location, invalid: set[Location]
) -> Any:
    section = model.model_construct()
    given = value if isinstance(value, dict) else {}
    for name, field in model.model_fields.items():
        here = (*location, name)
        inner = _find_section_class(field.annotation)
        # A list with an invalid element is removed as a whole. A nested section keeps its valid
        # values.
        depth = None if inner and get_origin(field.annotation) is not list else len(here)
        if location in invalid or any(item[:depth] == here for item in invalid):
            section.__dict__.pop(name, None)
        elif name in given:
            section.__dict__[name] = _build_value(
                field.annotation, inner, given[name], here, invalid
            )
    return section


def _build_value(
    annotation: Any,
    inner: type[Section] | None,
    value: Any,
    location: Location,
    invalid: set[Location],
) -> Any:
    if inner is None or value is None:
        return value
    if get_origin(annotation) is list:
        return [
            _build_section(inner, item, (*location, number), invalid)
            for number, item in enumerate(value)
        ]
    if get_origin(annotation) is dict:
        return {
            key: _build_section(inner, item, (*location, key), invalid)
            for key, item in value.items()
        }
    return _build_section(inner, value, location, invalid)


def _find_section_class(annotation: Any) -> type[Section] | None:
    """Returns the Section class in an annotation such as `Rds | None` or `list[Rds]`, or None."""
    candidates = (annotation, *get_args(annotation))
    return next(
        (item for item in candidates if isinstance(item, type) and issubclass(item, Section)), None
    )
