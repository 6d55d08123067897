"""Identifies a process by its ID and start time, because the OS reuses process IDs."""

from __future__ import annotations

import psutil

START_TOLERANCE = 2.0
"""Seconds. A clock correction can change the reported start time of a process."""


def find_process(pid: int, started: float) -> psutil.Process | None:
    """Returns the process, or None if it has ended (a zombie process counts as ended).

    Args:
        pid: the process ID.
        started: the start time, in seconds since the epoch.
    """
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) <= START_TOLERANCE
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
