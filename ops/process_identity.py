"""Identifies a process by its ID and start time, because the OS reuses process IDs."""

from __future__ import annotations

import psutil

START_TOLERANCE = 2.0
"""Seconds by which two start times of the same process may differ.

A clock correction can change the start time that the OS reports.
"""


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
