"""Limits the attempts in a rolling window. Exact even with concurrent requests."""

import hashlib
import math
from typing import TYPE_CHECKING

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import Table, succeeds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TRIES = 20
"""Attempts to write a key. A failed attempt means that a concurrent request has written it."""


class Limit(Struct, frozen=True):
    """Allows `attempts` in any `window` seconds per subject. `name` separates the counters."""

    name: str
    attempts: int
    window: int


class Reservation(Struct, frozen=True):
    """A counted attempt. `at` is in milliseconds since the epoch."""

    key: str
    at: int


class RateLimiter:
    """Counts attempts in a table. Callers reserve before the work and may release."""

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, *, enabled: bool, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._table = Table(dynamodb, table)
        self._enabled = enabled
        self._clock = clock

    def reserve(self, limit: Limit, *subject: str) -> Reservation:
        """Counts one attempt. Raises Problem 429 with Retry-After if the limit is reached.

        Stores only a hash of the subject, for example of a network address and an email.
        """
        now = int(self._clock() * 1000)
        key = f"{limit.name}#{hashlib.sha256(chr(0).join(subject).encode()).hexdigest()}"
        reservation = Reservation(key, now)
        if not self._enabled:
            return reservation
        for _ in range(_TRIES):
            revision, attempts = self._read(key)
            recent = sorted(at for at in attempts if at > now - limit.window * 1000)
            if len(recent) >= limit.attempts:
                free_at = recent[-limit.attempts] + limit.window * 1000
                raise Problem.too_many_requests(max(1, math.ceil((free_at - now) / 1000)))
            if self._write(key, revision, [*recent, now], now // 1000 + limit.window + 1):
                return reservation
        raise Problem.too_many_requests(1)

    def release(self, reservation: Reservation) -> None:
        """Removes a reserved attempt. It stays counted if concurrent writes prevent the removal."""
        if not self._enabled:
            return
        for _ in range(_TRIES):
            revision, attempts = self._read(reservation.key)
            if reservation.at not in attempts:
                return
            attempts.remove(reservation.at)
            if self._write(reservation.key, revision, attempts, None):
                return

    def _read(self, key: str) -> tuple[int, list[int]]:
        found = self._table.get({"limit_key": key}) or {}
        return found.get("revision", 0), found.get("attempts", [])

    def _write(self, key: str, revision: int, attempts: list[int], expires_at: int | None) -> bool:
        values: dict[str, object] = {":next": revision + 1, ":attempts": attempts}
        update = "SET attempts = :attempts, revision = :next"
        unchanged = "attribute_not_exists(revision)"
        if revision:
            values[":read"], unchanged = revision, "revision = :read"
        if expires_at is not None:
            values[":expires_at"], update = expires_at, f"{update}, expires_at = :expires_at"
        return succeeds(
            lambda: self._table.update(
                {"limit_key": key}, update, condition=unchanged, values=values
            )
        )
