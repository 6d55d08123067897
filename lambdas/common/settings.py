"""A function's environment variables, parsed into a typed Struct."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import NODEFAULT, Struct, ValidationError

S = TypeVar("S", bound="Settings")


class SettingsError(Exception):
    """Environment variables are missing or invalid. The message contains their names."""


class Settings(Struct, frozen=True, kw_only=True, rename="upper"):
    """The settings of every function. The field `bus_name` is read from the variable `BUS_NAME`.

    The variable of a field without a default must not be empty. Commas separate the elements of a
    tuple.
    """

    stage: str
    region: str
    cors_origins: tuple[str, ...] = ()
    rate_limit_enabled: bool = False
    log_level: str = "INFO"
    powertools_service_name: str = "service_undefined"


def read(model: type[S], environ: Mapping[str, str]) -> S:
    """Returns the settings of type `model` from `environ`.

    Raises:
        SettingsError: Variables are missing or invalid. The message contains their names.
    """
    values: dict[str, str | tuple[str, ...]] = {}
    missing = []
    for field in msgspec.structs.fields(model):
        value = environ.get(field.encode_name, "").strip()
        if value:
            values[field.encode_name] = split(value) if field.type == tuple[str, ...] else value
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            missing.append(field.encode_name)
    if missing:
        raise SettingsError(
            f"Set the environment variables {', '.join(missing)}: they are required."
        )
    try:
        return msgspec.convert(values, model, strict=False)
    except ValidationError as error:
        raise SettingsError(f"An environment variable is invalid: {error}.") from error


def split(value: str) -> tuple[str, ...]:
    """Splits a comma-separated value into its non-empty parts."""
    return tuple(part for part in (part.strip() for part in value.split(",")) if part)
