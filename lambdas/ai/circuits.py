"""Circuit breakers of the providers, shared by all execution environments (docs/decisions/0052)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError
from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.storage.dynamodb import condition_failed, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

THRESHOLD = 3
"""Consecutive failures that open a circuit (API contract, ai)."""

OPEN_TIME = 60
"""Seconds for which a circuit stays open (API contract, ai)."""

_KEY = {"user_id": "#circuits", "day": "#"}
"""The key of the item in the usage table. No user id begins with #."""


class Circuit(Struct, frozen=True):
    """A provider's circuit. `opened_until` is in milliseconds since the epoch, or 0 if closed."""

    failures: int = 0
    opened_until: int = 0


class Circuits(Protocol):
    def list_available(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        """Returns the circuits that are closed or due for a trial, in the order of `providers`."""

    def try_enter(self, provider: str, circuit: Circuit) -> bool:
        """Returns True if this call may use the provider.

        After `opened_until`, one call may try the provider. Meanwhile other calls must skip it.
        """

    def record_success(self, provider: str, circuit: Circuit) -> None:
        """Closes the circuit."""

    def record_failure(self, provider: str) -> None:
        """Counts a failure, and opens the circuit after THRESHOLD consecutive failures."""


class DynamoCircuits:
    """Stores all circuits in one item of the usage table. A successful call only reads it."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def list_available(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        item = self._dynamodb.get_item(TableName=self._table, Key=pack(_KEY)).get("Item")
        found = unpack(item) if item else {}
        circuits = {
            name: Circuit(found.get(f"{name}_failures", 0), found.get(f"{name}_opened_until", 0))
            for name in providers
        }
        return {
            name: circuit
            for name, circuit in circuits.items()
            if circuit.opened_until <= self._now()
        }

    def try_enter(self, provider: str, circuit: Circuit) -> bool:
        if not circuit.opened_until:
            return True
        try:
            self._update(
                "SET #until = :until",
                {"#until": f"{provider}_opened_until"},
                {":until": self._now() + OPEN_TIME * 1000, ":read": circuit.opened_until},
                ConditionExpression="#until = :read",
            )
        except ClientError as error:
            if condition_failed(error):
                return False
            raise
        return True

    def record_success(self, provider: str, circuit: Circuit) -> None:
        if circuit.failures:
            names = {"#failures": f"{provider}_failures", "#until": f"{provider}_opened_until"}
            self._update("REMOVE #failures, #until", names)

    def record_failure(self, provider: str) -> None:
        counted = self._update(
            "ADD #failures :one",
            {"#failures": f"{provider}_failures"},
            {":one": 1},
            ReturnValues="UPDATED_NEW",
        )
        if unpack(counted["Attributes"])[f"{provider}_failures"] >= THRESHOLD:
            until = self._now() + OPEN_TIME * 1000
            self._update(
                "SET #until = :until", {"#until": f"{provider}_opened_until"}, {":until": until}
            )

    def _update(
        self,
        expression: str,
        names: Mapping[str, str],
        values: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Any:
        if values:
            more["ExpressionAttributeValues"] = pack(values)
        return self._dynamodb.update_item(
            TableName=self._table,
            Key=pack(_KEY),
            UpdateExpression=expression,
            ExpressionAttributeNames=dict(names),
            **more,
        )

    def _now(self) -> int:
        return int(self._clock() * 1000)
