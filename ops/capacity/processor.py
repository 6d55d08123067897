"""Loads processor.yml, which contains the measured CPU time of each route, frame and event."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from ops.capacity.document import StrictModel, read_yaml, validate_document

FILE = Path(__file__).with_name("processor.yml")


class Measurement(StrictModel):
    """When and where the CPU times were measured."""

    date: date
    repetitions: int
    processor: str
    load_average: float
    """The load average of the machine over the last minute."""


class Processor(StrictModel):
    """The measured CPU times and memory of the functions."""

    measured: Measurement
    requests: Mapping[str, float]
    """Milliseconds of user and system CPU time by row of calls.yml.

    Includes the CPU time of the AWS clients, and of sending a frame to one listener.
    """
    memory_mb: Mapping[str, float]
    """Peak resident memory of each function's process, in MB."""


@functools.cache
def load_processor(file: Path = FILE) -> Processor:
    """Returns the measured CPU times."""
    return validate_document(Processor, read_yaml(file), file)
