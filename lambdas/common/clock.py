"""Time and identifiers, in the forms that answers and tables use."""

import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]
"""Seconds since the epoch; `time.time` outside tests."""

SYSTEM_CLOCK: Clock = time.time


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-01-31T09:30:00.000Z`."""
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def new_id() -> str:
    """An opaque identifier that nobody can guess or meet twice."""
    return uuid.uuid4().hex


def new_secret() -> str:
    """256 random bits, safe in an address."""
    return secrets.token_urlsafe(32)
