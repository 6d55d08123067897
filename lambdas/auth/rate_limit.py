"""Limits on attempts in a rolling window, exact under concurrency."""

import hashlib
import math
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import condition_failed, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TRIES = 20  # against writers of the same key; each lost try means that somebody else's succeeded


class Limit(Struct, frozen=True):
    """At most `attempts` in any `window` seconds, counted for each subject under `name`."""

    name: str
    attempts: int
    window: int


class Reservation(Struct, frozen=True):
    """An attempt that has been counted; `at` in milliseconds since the epoch."""

    key: str
    at: int


class RateLimiter:
    """Counts attempts in a table: an attempt is reserved before the work and given back where it should not count."""

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, *, enabled: bool, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._enabled = enabled
        self._clock = clock

    def reserve(self, limit: Limit, *subject: str) -> Reservation:
        """Counts one attempt. Raises Problem 429 with Retry-After when the window is full.

        The subject (an address, an email) is stored as a hash only.
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
        """Takes back one reserved attempt. Losing every race leaves it counted, which errs on the safe side."""
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
        item = self._dynamodb.get_item(
            TableName=self._table, Key=pack({"limit_key": key}), ConsistentRead=True
        ).get("Item")
        found = unpack(item) if item else {}
        return found.get("revision", 0), found.get("attempts", [])

    def _write(self, key: str, revision: int, attempts: list[int], expires_at: int | None) -> bool:
        values: dict[str, Any] = {":next": revision + 1, ":attempts": attempts}
        update, unchanged = (
            "SET attempts = :attempts, revision = :next",
            "attribute_not_exists(revision)",
        )
        if revision:
            values[":read"], unchanged = revision, "revision = :read"
        if expires_at is not None:
            values[":expires_at"], update = expires_at, f"{update}, expires_at = :expires_at"
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=pack({"limit_key": key}),
                UpdateExpression=update,
                ConditionExpression=unchanged,
                ExpressionAttributeValues=pack(values),
            )
        except ClientError as error:
            if condition_failed(error):
                return False
            raise
        return True
