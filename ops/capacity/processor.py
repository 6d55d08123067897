"""Loads processor.yml, which contains the measured CPU time of each route, frame and event."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from ops.capacity.document import Strict, read_yaml, validated

FILE = Path(__file__).with_name("processor.yml")


class Measurement(Strict):
    """When and where the CPU times were measured."""

    date: date
    repetitions: int
    processor: str
    load_average: float
    """The load average of the machine over the last minute."""


class Processor(Strict):
    """The measured CPU times and memory of the functions."""

    measured: Measurement
    requests: Mapping[str, float]
    """Milliseconds of user and system CPU time by row of calls.yml.

    Includes the CPU time of the AWS clients and of the post to one listener.
    """
    memory_mb: Mapping[str, float]
    """Peak resident memory of each function's process, in MB."""


@functools.cache
def load_processor(file: Path = FILE) -> Processor:
    """Returns the measured CPU times."""
    return validated(Processor, read_yaml(file), file)
