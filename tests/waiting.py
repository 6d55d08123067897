"""Waits until a condition is met."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(find: Callable[[], T | None], seconds: float = 20.0, interval: float = 0.3) -> T:
    """Calls `find` repeatedly until it returns a true value, and returns the value.

    Raises:
        AssertionError: `find` returned only false values for `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (result := find()):
        assert time.monotonic() < deadline, f"no result within {seconds:.0f} s: {result!r}"
        time.sleep(interval)
    return result
