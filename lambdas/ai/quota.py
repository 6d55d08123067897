"""The daily quota of language model tokens.

Tokens are reserved before a call to a model and settled after it. Concurrent requests cannot exceed
the quota (docs/decisions/0053).
"""

import math
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock, has_expired, new_id
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import Table, succeeds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_SECONDS = 35
"""Seconds until an unsettled reservation expires. It exceeds the function's timeout of 30 s."""

RETENTION = timedelta(days=31)
"""How long the usage of a day is stored."""

_LEASE_PREFIX = "lease_"


class Reservation(Struct, frozen=True):
    """The tokens reserved for a call. `day` is the UTC day (YYYY-MM-DD) on which the call began."""

    user_id: str
    day: str
    lease: str
    tokens: int


class Quota(Protocol):
    def reserve(self, user_id: str, tokens: int) -> Reservation:
        """Reserves tokens. Raises Problem 429 if they would exceed the day's quota."""

    def settle(self, reservation: Reservation, input_tokens: int, output_tokens: int) -> None:
        """Replaces the reserved tokens with the tokens that the call used."""

    def release(self, reservation: Reservation) -> None:
        """Cancels the reservation of a failed call."""


class DynamoQuota:
    """Stores one item per user and UTC day.

    `tokens` is the sum of used and reserved tokens. A conditional write keeps it within the quota.
    Each open reservation is a separate attribute, so that it can be cancelled after a crash.
    """

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, daily: int, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`daily` is the quota in tokens."""
        self._table = Table(dynamodb, table)
        self._daily = daily
        self._clock = clock

    def reserve(self, user_id: str, tokens: int) -> Reservation:
        reservation = Reservation(
            user_id, self._today().date().isoformat(), _LEASE_PREFIX + new_id(), tokens
        )
        if self._add(reservation):
            return reservation
        day = self._table.get(_key(reservation)) or {}
        # boto3 repeats a write if the response was lost. The repeated write fails here, although
        # the first one stored the reservation.
        if reservation.lease in day:
            return reservation
        if self._reclaim(reservation, day) and self._add(reservation):
            return reservation
        raise self._exceeded(day, tokens)

    def settle(self, reservation: Reservation, input_tokens: int, output_tokens: int) -> None:
        used = {":calls": 1, ":input": input_tokens, ":output": output_tokens}
        counters = ", calls :calls, input_tokens :input, output_tokens :output"
        self._end(reservation, input_tokens + output_tokens - reservation.tokens, counters, used)

    def release(self, reservation: Reservation) -> None:
        self._end(reservation, -reservation.tokens)

    def _add(self, reservation: Reservation) -> bool:
        """Writes the reservation unless it would exceed the quota. Returns True if written."""
        if reservation.tokens > self._daily:
            return False
        return self._update_if(
            reservation,
            "SET #lease = :lease, expires_at = if_not_exists(expires_at, :expires_at) "
            "ADD tokens :tokens",
            "attribute_not_exists(#lease) AND (attribute_not_exists(tokens) OR tokens <= :room)",
            {
                ":lease": [reservation.tokens, int(self._clock()) + LEASE_SECONDS],
                ":expires_at": int((self._today() + RETENTION).timestamp()),
                ":tokens": reservation.tokens,
                ":room": self._daily - reservation.tokens,
            },
        )

    def _end(
        self,
        reservation: Reservation,
        change: int,
        counters: str = "",
        values: dict[str, int] | None = None,
    ) -> None:
        """Ends a reservation. Does nothing if it was settled, released or reclaimed before."""
        self._update_if(
            reservation,
            f"REMOVE #lease ADD tokens :tokens{counters}",
            "attribute_exists(#lease)",
            {":tokens": change, **(values or {})},
        )

    def _reclaim(self, reservation: Reservation, day: dict[str, Any]) -> bool:
        """Cancels the reservations of crashed calls. Returns True if there were any."""
        expired = [
            Reservation(reservation.user_id, reservation.day, name, tokens)
            for name, (tokens, ends_at) in _leases(day).items()
            if has_expired(ends_at, self._clock(), LEASE_SECONDS)
        ]
        for lease in expired:
            self._end(lease, -lease.tokens)
        return bool(expired)

    def _exceeded(self, day: dict[str, Any], tokens: int) -> Problem:
        """Returns a Problem with status 429 and Retry-After.

        If the call would fit into the quota without the reservations of running calls, Retry-After
        is the time until all these reservations expire. Otherwise, it is the time until midnight
        UTC.
        """
        leases = _leases(day).values()
        used = day.get("tokens", 0) - sum(reserved for reserved, _ in leases)
        if leases and used + tokens <= self._daily:
            seconds = max(ends_at for _, ends_at in leases) - self._clock()
            detail = "Your other running calls have reserved the rest of today's tokens."
        else:
            seconds = (self._today() + timedelta(days=1)).timestamp() - self._clock()
            detail = (
                f"This call would exceed your daily quota of {self._daily} tokens. "
                "The quota is reset at midnight UTC."
            )
        headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, "ai_quota_exceeded", detail, headers=headers)

    def _today(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC).replace(
            hour=0, minute=0, second=0, microsecond=0
        )

    def _update_if(
        self, reservation: Reservation, expression: str, condition: str, values: dict[str, Any]
    ) -> bool:
        return succeeds(
            lambda: self._table.update(
                _key(reservation),
                expression,
                condition=condition,
                names={"#lease": reservation.lease},
                values=values,
            )
        )


def _key(reservation: Reservation) -> dict[str, str]:
    return {"user_id": reservation.user_id, "day": reservation.day}


def _leases(day: dict[str, Any]) -> dict[str, list[int]]:
    return {name: value for name, value in day.items() if name.startswith(_LEASE_PREFIX)}
