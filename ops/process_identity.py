"""Recognizes a process again by its id and start time: an id alone may meanwhile be another process's."""

from __future__ import annotations

import psutil

START_TOLERANCE = 2.0
"""Seconds that a process's start time may seem to move when the machine's clock is corrected."""


def find(pid: int, started: float) -> psutil.Process | None:
    """The process that had this id and started then (seconds since the epoch), or None when it is gone; a zombie is gone."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) <= START_TOLERANCE
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
