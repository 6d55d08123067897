"""The daily quota of tokens: reserved before a call, settled after it, exact under concurrency (docs/decisions/0053)."""

import math
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError
from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import condition_failed, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE = 35
"""Seconds after which a reservation that was not settled counts as that of a crashed call: a function lives 30 s at most."""

RETENTION = timedelta(days=31)
"""How long a day's account is kept."""

_LEASE_PREFIX = "lease_"


class Reservation(Struct, frozen=True):
    """Tokens set aside for one call, on the day it began."""

    user_id: str
    day: str
    lease: str
    tokens: int


class Quota(Protocol):
    """What the logic needs of the quota."""

    def reserve(self, user_id: str, tokens: int) -> Reservation:
        """Sets tokens aside. Raises Problem 429 where the day's quota does not hold them."""

    def settle(self, reservation: Reservation, input_tokens: int, output_tokens: int) -> None:
        """Replaces what was set aside by what the call took."""

    def release(self, reservation: Reservation) -> None:
        """Gives back what was set aside: the call failed."""


class DynamoQuota:
    """One item for a user and a UTC day.

    `tokens` is what was used and what is set aside; a conditional write keeps it at or below the quota. Each reservation is an
    attribute of its own until it is settled, so that those of crashed calls can be told and given back.
    """

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, daily: int, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`daily` is the quota in tokens."""
        self._dynamodb = dynamodb
        self._table = table
        self._daily = daily
        self._clock = clock

    def reserve(self, user_id: str, tokens: int) -> Reservation:
        reservation = Reservation(
            user_id, self._today().date().isoformat(), _LEASE_PREFIX + new_id(), tokens
        )
        if self._add(reservation):
            return reservation
        day = self._read(reservation)
        if reservation.lease in day:  # boto3 had to send it twice, and the first was carried out
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
        """Sets the tokens aside unless that would exceed the quota; tells whether it did."""
        if reservation.tokens > self._daily:
            return False
        return self._conditionally(
            reservation,
            "SET #lease = :lease, expires_at = if_not_exists(expires_at, :expires_at) ADD tokens :tokens",
            "attribute_not_exists(#lease) AND (attribute_not_exists(tokens) OR tokens <= :room)",
            {
                ":lease": [reservation.tokens, int(self._clock()) + LEASE],
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
        """Ends a reservation unless that has been done, by us or by who found it left over."""
        self._conditionally(
            reservation,
            f"REMOVE #lease ADD tokens :tokens{counters}",
            "attribute_exists(#lease)",
            {":tokens": change, **(values or {})},
        )

    def _read(self, reservation: Reservation) -> dict[str, Any]:
        item = self._dynamodb.get_item(
            TableName=self._table, Key=_key(reservation), ConsistentRead=True
        ).get("Item")
        return unpack(item) if item else {}

    def _reclaim(self, reservation: Reservation, day: dict[str, Any]) -> bool:
        """Gives back what crashed calls have left; tells whether there was any."""
        ended = [
            Reservation(reservation.user_id, reservation.day, name, tokens)
            for name, (tokens, ends_at) in _leases(day).items()
            if ends_at <= self._clock()
        ]
        for left in ended:
            self._end(left, -left.tokens)
        return bool(ended)

    def _exceeded(self, day: dict[str, Any], tokens: int) -> Problem:
        """The 429: until midnight, or only until the calls under way have ended, where what they set aside would do."""
        leases = _leases(day).values()
        used = day.get("tokens", 0) - sum(held for held, _ in leases)
        if leases and used + tokens <= self._daily:
            seconds = max(ends_at for _, ends_at in leases) - self._clock()
            detail = "Other calls of yours hold the rest of today's tokens until they end."
        else:
            seconds = (self._today() + timedelta(days=1)).timestamp() - self._clock()
            detail = f"This would exceed your {self._daily} tokens a day. The next day begins at midnight UTC."
        headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, "ai_quota_exceeded", detail, headers=headers)

    def _today(self) -> datetime:
        """The UTC day's first moment."""
        return datetime.fromtimestamp(self._clock(), UTC).replace(
            hour=0, minute=0, second=0, microsecond=0
        )

    def _conditionally(
        self, reservation: Reservation, expression: str, condition: str, values: dict[str, Any]
    ) -> bool:
        try:
            self._update(
                reservation,
                expression,
                values,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#lease": reservation.lease},
            )
        except ClientError as error:
            if condition_failed(error):
                return False
            raise
        return True

    def _update(
        self, reservation: Reservation, expression: str, values: dict[str, Any], **more: Any
    ) -> None:
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(reservation),
            UpdateExpression=expression,
            ExpressionAttributeValues=pack(values),
            **more,
        )


def _key(reservation: Reservation) -> dict[str, Any]:
    return pack({"user_id": reservation.user_id, "day": reservation.day})


def _leases(day: dict[str, Any]) -> dict[str, list[int]]:
    return {name: value for name, value in day.items() if name.startswith(_LEASE_PREFIX)}
