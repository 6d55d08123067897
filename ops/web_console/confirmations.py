"""Requires two requests for each change: the first returns a question, the second confirms it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

VALID_SECONDS = 300.0
"""Seconds for which a confirmation is valid."""


class Confirmations:
    """Issues confirmations, and accepts each of them once.

    Args:
        clock: Returns the current time in seconds since any fixed moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._issued: dict[str, tuple[str, float]] = {}

    def issue(self, action: str, request: Mapping[str, Any]) -> str:
        """Returns a confirmation that is valid once, for exactly this action and request."""
        now = self._clock()
        self._issued = {key: item for key, item in self._issued.items() if item[1] > now}
        key = secrets.token_urlsafe(16)
        self._issued[key] = (_subject(action, request), now + VALID_SECONDS)
        return key

    def use(self, key: str | None, action: str, request: Mapping[str, Any]) -> bool:
        """Returns True if `key` is a valid confirmation of this action and request.

        A confirmation can be used only once: invalidates `key`, even if the result is False.
        """
        subject, until = self._issued.pop(key or "", ("", 0.0))
        return subject == _subject(action, request) and until > self._clock()


def _subject(action: str, request: Mapping[str, Any]) -> str:
    return json.dumps([action, request], sort_keys=True)
