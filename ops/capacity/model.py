"""Loads the usage model: what users do and how often, from model.yml.

Another file can replace parts of the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from ops.capacity.calls import load_rows
from ops.capacity.document import StrictModel, read_yaml, validate_document
from ops.errors import OperatorError

FILE = Path(__file__).with_name("model.yml")
DAY = 86_400
"""Seconds per day."""


class Number(StrictModel):
    """A number of the capacity model, with the name of the source that it comes from."""

    value: float = Field(ge=0)
    source: str


class Positive(Number):
    """A number greater than 0. The model divides other numbers by it."""

    value: float = Field(gt=0)


class Population(StrictModel):
    """The numbers of users. Numbers of sessions and minutes are for one daily active user."""

    peak_to_mean: Positive
    monthly_users_per_daily_user: Number
    sessions: Number
    session_minutes: Number
    rooms_joined_per_session: Number


class Room(StrictModel):
    """The chat rooms of one size."""

    members: int = Field(ge=1)
    share: float = Field(ge=0, le=1)
    """The share of all messages that are sent in rooms of this size."""
    source: str


class Hot(StrictModel):
    """The loads of the busiest single objects, such as one room, post or seller."""

    room_members: Number
    room_messages_per_member: Number
    post_likes: Number
    post_hours: Positive
    seller_share: Number
    releases_per_hour: Number
    repeats_per_second: Number


class Outage(StrictModel):
    """The behaviour of clients after an outage."""

    seconds_to_reconnect: Positive
    share_that_refreshes: Number


class Times(StrictModel):
    """Milliseconds of CPU time and of waiting time that requests take.

    `handler_ms`, `post_ms` and `call_cpu_ms` are CPU times. `handler_ms` and `call_cpu_ms` apply
    only to requests that processor.yml does not contain. `cpu_factor` is a ratio: CPU time on
    Lambda divided by CPU time on the machine of the measurement.
    """

    cpu_factor: Positive
    handler_ms: Number
    post_ms: Number
    call_cpu_ms: Number
    dynamodb_ms: Positive
    cognito_ms: Number
    other_call_ms: Number
    post_round_trip_ms: Number
    cache_ms: Number
    statement_ms: Positive
    language_model_ms: Number


class DatabaseUse(StrictModel):
    """The CPU time of a SQL statement, and the CPU cores of an Aurora capacity unit."""

    statement_cpu_ms: Number
    cores_per_capacity_unit: Positive


class CacheUse(StrictModel):
    """The commands that the cache executes, and the memory that it needs."""

    commands_per_second: Positive
    bytes_per_connection: Number


class Sizes(StrictModel):
    """Sizes of responses, logs, uploads and media files in kilobytes, and the number of media
    requests to CloudFront.
    """

    response_kb: Number
    log_kb_per_request: Number
    upload_kb: Number
    media_kb_per_request: Number
    media_requests_per_request: Number


class Model(StrictModel):
    """What one daily active user does on an average day."""

    name: str
    sources: Mapping[str, str]
    population: Population
    requests: Mapping[str, Number]
    frames: Mapping[str, Number]
    rooms: tuple[Room, ...]
    hot: Hot
    outage: Outage
    times: Times
    database: DatabaseUse
    cache: CacheUse
    sizes: Sizes

    @model_validator(mode="after")
    def _check_shares(self) -> Model:
        total = sum(room.share for room in self.rooms)
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"the shares of `rooms` add up to {total:g}, not to 1")
        return self

    @property
    def online_share(self) -> float:
        """The share of daily users who are connected at the peak, at most 1."""
        people = self.population
        minutes = people.sessions.value * people.session_minutes.value
        return min(1.0, minutes / (24 * 60) * people.peak_to_mean.value)


def load_model(file: Path | None = None) -> Model:
    """Returns the built-in model. Values in `file` replace those of the built-in model.

    Raises:
        OperatorError: The file is missing or invalid. The message names each key and its value.
    """
    document = read_yaml(FILE)
    if file:
        document = _merged(document, read_yaml(file))
    model = validate_document(Model, document, file or FILE)
    problems = list(_unknown_names(document))
    if problems:
        raise OperatorError("\n".join(f"{file or FILE}: {problem}" for problem in problems))
    return model


def _merged(base: Any, override: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    return {**base, **{key: _merged(base.get(key), value) for key, value in override.items()}}


def _unknown_names(document: Mapping[str, Any]) -> Iterator[str]:
    """Yields an error message for each unknown request, frame or source in the model."""
    rows = load_rows()
    for section, prefix in (("requests", ""), ("frames", "frame ")):
        known = [name.removeprefix(prefix) for name in rows if name.startswith(prefix or _METHODS)]
        for name, number in document[section].items():
            if name not in known:
                close = get_close_matches(name, known, 1)
                hint = f"did you mean {close[0]}?" if close else "see ops/capacity/calls.yml"
                yield f"{section}.{name}: {number!r}: no such {section.removesuffix('s')}: {hint}"
    for path, value in _numbers(document, ""):
        if value["source"] not in document["sources"]:
            yield (
                f"{path}.source: {value['source']!r}: no such source: use one of"
                f" {', '.join(document['sources'])}, or add it to `sources`"
            )


_METHODS = ("GET ", "POST ", "PUT ", "PATCH ", "DELETE ")


def _numbers(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the path and the content of each part of the model that has a `source`."""
    if isinstance(value, dict):
        if "source" in value:
            yield path, value
        else:
            for key, part in value.items():
                yield from _numbers(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _numbers(part, f"{path}.{index}")
