"""Validates input as msgspec Structs and reports all invalid fields in one error."""

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, ValidationError

from lambdas.common.problems import FieldError, Problem
from lambdas.common.text import NAME, Email, Password, normalize

T = TypeVar("T", bound=Struct)

# Up to 18 digits. The largest bound of a query parameter, 2**53 - 1, has 16.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A request body with camelCase names. Unknown fields are rejected.

    A field's type defines its validation, and `Meta(description=...)` defines the error message.
    """


class EmptyBody(Body, frozen=True, kw_only=True):
    """A body without fields."""


EmailAddress = Annotated[
    Email,
    Meta(
        description="must be an email address",
        extra_json_schema={"format": "email", "maxLength": 128},
        examples=["ann@example.com"],
    ),
]

DisplayName = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=50,
        pattern=NAME,
        description="must have 2 to 50 characters, one of them visible, without control "
        "characters and without spaces at either end",
        examples=["Ann"],
    ),
]


def validate(model: type[T], values: Mapping[str, Any], *, from_text: bool = False) -> T:
    """Converts `values` to an instance of `model`. Raises Problem 422 with all invalid fields.

    Normalizes strings first. `from_text` is for query strings: it also converts strings to whole
    numbers.
    """
    try:
        values = normalize(values)
    except RecursionError:
        raise Problem.bad_request("The body is nested too deeply.", "malformed_json") from None
    if from_text:
        values = _with_numbers(values, model)
    try:
        return msgspec.convert(values, model, dec_hook=_parse)
    except ValidationError as error:
        # msgspec stops at the first error, but the response must list all errors.
        errors = list(_errors(values, model, "")) or [FieldError("", _sentence(error))]
        raise Problem.invalid(errors) from None


def _parse(type_: type[Email | Password], value: object) -> Email | Password:
    return type_.parse(value)


def _with_numbers(values: Mapping[str, Any], model: type[Struct]) -> dict[str, Any]:
    """Parses whole numbers in fields of type int. `validate` then rejects any other text in them.

    msgspec's own conversion would also accept `1e1`, `5.0`, and `null` for None.
    """
    numeric = {
        field.encode_name
        for field in msgspec.structs.fields(model)
        if int in map(_plain, _alternatives(field.type))
    }
    return {
        name: int(value) if name in numeric and _NUMBER.fullmatch(value) else value
        for name, value in values.items()
    }


def _errors(value: Any, expected: Any, path: str) -> Iterator[FieldError]:
    alternatives = _alternatives(expected)
    inner = list(_nested_errors(value, alternatives, path))
    if inner:
        yield from inner
        return
    try:
        msgspec.convert(value, expected, dec_hook=_parse)
    except ValidationError as error:
        yield FieldError(path, _description(alternatives) or _sentence(error))


def _nested_errors(value: Any, alternatives: list[Any], path: str) -> Iterator[FieldError]:
    """Yields the errors inside a list or object, and nothing for other values."""
    for expected in alternatives:
        plain = _plain(expected)
        origin, arguments = get_origin(plain), get_args(plain)
        if isinstance(value, Mapping) and isinstance(plain, type) and issubclass(plain, Struct):
            yield from _fields(value, plain, path)
        elif isinstance(value, Mapping) and origin is dict:
            for key, item in value.items():
                yield from _errors(key, arguments[0], _join(path, key))
                yield from _errors(item, arguments[1], _join(path, key))
        elif isinstance(value, list) and origin in (list, tuple, set, frozenset):
            for index, item in enumerate(value):
                yield from _errors(item, arguments[0], _join(path, str(index)))


def _fields(value: Mapping[str, Any], model: type[Struct], path: str) -> Iterator[FieldError]:
    fields = msgspec.structs.fields(model)
    for field in fields:
        name = field.encode_name
        if name in value:
            yield from _errors(value[name], field.type, _join(path, name))
        elif field.required:
            yield FieldError(_join(path, name), "is required")
    if model.__struct_config__.forbid_unknown_fields:
        for name in value.keys() - {field.encode_name for field in fields}:
            yield FieldError(_join(path, name), "is not a known field")


def _alternatives(expected: Any) -> list[Any]:
    return list(get_args(expected)) if get_origin(expected) in (Union, UnionType) else [expected]


def _plain(expected: Any) -> Any:
    return get_args(expected)[0] if get_origin(expected) is Annotated else expected


def _description(alternatives: list[Any]) -> str | None:
    for expected in alternatives:
        for meta in getattr(expected, "__metadata__", ()):
            if isinstance(meta, Meta) and meta.description:
                return meta.description
    return None


def _sentence(error: ValidationError) -> str:
    """Returns msgspec's message without the path, for example `expected str, got int`."""
    message = str(error).partition(" - at ")[0].replace("`", "")
    return message[:1].lower() + message[1:]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
