"""Time and identifiers, in the formats that responses and tables use."""

import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

Clock = Callable[[], float]
"""A function that returns the seconds since the epoch. It is `time.time` except in tests."""

SYSTEM_CLOCK: Clock = time.time

CLOCK_SKEW = 60
"""Seconds by which the clocks of two Lambda functions may differ. On AWS, they differ by much less.
The clock of a laptop can jump, for example after sleep.
"""

Timestamp = Annotated[
    str,
    Meta(
        extra_json_schema={"format": "date-time"},
        examples=["2026-01-31T09:30:00.000Z"],
    ),
]
"""A time in a response, a frame or an event, as `timestamp` formats it."""


def timestamp(seconds: float) -> str:
    """Formats a time as RFC 3339 in UTC with milliseconds: `2026-01-31T09:30:00.000Z`."""
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def has_expired(ends_at: float, now: float, length: float) -> bool:
    """Returns True if a lease of `length` seconds, which ends at `ends_at`, has expired.

    Also returns True if `ends_at` is more than `length` + CLOCK_SKEW seconds in the future. The
    clock of the Lambda function that took the lease was then wrong, and the lease would last too
    long.
    """
    return not now < ends_at <= now + length + CLOCK_SKEW


def new_id() -> str:
    """Returns a new unique, unguessable identifier (32 hex digits)."""
    return uuid.uuid4().hex


def new_secret() -> str:
    """Returns a new secret of 256 random bits, safe to use in a URL."""
    return secrets.token_urlsafe(32)
