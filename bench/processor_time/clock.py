"""Reads the CPU time of other processes."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable

import psutil

_LIBC = ctypes.CDLL(None, use_errno=True)


def cpu_seconds(pid: int) -> float:
    """Returns the user and system CPU time of a process, with all its threads.

    Reads the CPU clock of the process, which counts nanoseconds. /proc would be less precise: it
    counts hundredths of a second.

    Raises:
        ProcessLookupError: The process has ended.
    """
    clock = ctypes.c_int()
    error = _LIBC.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise ProcessLookupError(error, os.strerror(error))
    try:
        return time.clock_gettime(clock.value)
    except OSError as ended:
        raise ProcessLookupError(ended.errno, ended.strerror) from ended


Reading = dict[int, float]
"""CPU seconds by process id."""


def read(processes: Iterable[psutil.Process]) -> Reading:
    """Returns the CPU seconds of the processes that are running."""
    reading = {}
    for process in processes:
        try:
            reading[process.pid] = cpu_seconds(process.pid)
        except ProcessLookupError:
            continue
    return reading


def difference(before: Reading, after: Reading) -> float | None:
    """Returns the CPU seconds between two readings, or None if a process started or ended."""
    if before.keys() != after.keys():
        return None
    return sum(after.values()) - sum(before.values())
