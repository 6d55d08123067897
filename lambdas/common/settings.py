"""A function's environment variables as a typed value, read once."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import NODEFAULT, Struct, ValidationError

S = TypeVar("S", bound="Settings")


class SettingsError(Exception):
    """The function's environment is not what its code needs; the message names every variable concerned."""


class Settings(Struct, frozen=True, kw_only=True, rename="upper"):
    """What every function is given. A subclass's field `bus_name` is the variable `BUS_NAME`.

    A field without a default must be present and not empty; a tuple is written separated by commas.
    """

    stage: str
    region: str
    cors_origins: tuple[str, ...] = ()
    rate_limit_enabled: bool = False
    log_level: str = "INFO"
    powertools_service_name: str = "service_undefined"


def read(model: type[S], environ: Mapping[str, str]) -> S:
    """The settings of type `model` found in `environ`.

    Raises SettingsError naming all variables that are missing, or the one that has an impossible value.
    """
    found: dict[str, str | tuple[str, ...]] = {}
    missing = []
    for field in msgspec.structs.fields(model):
        value = environ.get(field.encode_name, "").strip()
        if value:
            found[field.encode_name] = split(value) if field.type == tuple[str, ...] else value
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            missing.append(field.encode_name)
    if missing:
        raise SettingsError(f"The function's environment lacks {', '.join(missing)}.")
    try:
        return msgspec.convert(found, model, strict=False)
    except ValidationError as error:
        raise SettingsError(f"The function's environment has a wrong value: {error}.") from error


def split(value: str) -> tuple[str, ...]:
    """The parts of a value that is written separated by commas."""
    return tuple(part for part in (part.strip() for part in value.split(",")) if part)
