"""What is valid of an environment that is not, so that rules between values are checked beside other mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from environments.model import Environment, Section

Location = tuple[int | str, ...]


def valid_part(document: Mapping[str, Any], error: ValidationError) -> Environment:
    """An environment without the values that are wrong; reading one of them is an AttributeError.

    Args:
        document: what was validated.
        error: what is wrong with it.
    """
    wrong = {tuple(part for part in item["loc"] if part != "[key]") for item in error.errors()}
    environment: Environment = _section(Environment, document, (), wrong)
    return environment


def _section(model: type[Section], value: Any, location: Location, wrong: set[Location]) -> Any:
    made = model.model_construct()
    given = value if isinstance(value, dict) else {}
    for name, field in model.model_fields.items():
        here = (*location, name)
        inner = _model(field.annotation)
        # In a section each value counts for itself; in a list one wrong element makes the list unusable.
        depth = None if inner and get_origin(field.annotation) is not list else len(here)
        if location in wrong or any(item[:depth] == here for item in wrong):
            made.__dict__.pop(name, None)
        elif name in given:
            made.__dict__[name] = _value(field.annotation, inner, given[name], here, wrong)
    return made


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
    """The section that a field holds, alone, optionally or by key."""
    candidates = (annotation, *get_args(annotation))
    return next(
        (item for item in candidates if isinstance(item, type) and issubclass(item, Section)), None
    )
