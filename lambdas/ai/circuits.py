"""Circuit breakers of the providers, shared by all execution environments (docs/decisions/0052)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.storage.dynamodb import Table, succeeds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

THRESHOLD = 3
"""Consecutive failures that open a circuit, as the specification requires."""

OPEN_TIME = 60
"""Seconds for which a circuit stays open, as the specification requires."""

_KEY = {"user_id": "#circuits", "day": "#"}
"""The key of the item that contains all circuits in the usage table.

The other keys contain user ids, and no user id begins with #.
"""


class Circuit(Struct, frozen=True):
    """The state of a provider's circuit breaker.

    `opened_until` is in milliseconds since the epoch, or 0 if closed.
    """

    failures: int = 0
    opened_until: int = 0


class Circuits(Protocol):
    def list_available(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        """Returns the circuits that are closed or whose `opened_until` has passed, by provider.

        The order is that of `providers`.
        """

    def try_enter(self, provider: str, circuit: Circuit) -> bool:
        """Returns True if this call may use the provider.

        If the circuit is open and `opened_until` has passed, only one call gets True. That call
        tests the provider, and all other calls skip the provider.
        """

    def record_success(self, provider: str, circuit: Circuit) -> None:
        """Closes the provider's circuit."""

    def record_failure(self, provider: str) -> None:
        """Counts a failure, and opens the circuit after THRESHOLD consecutive failures."""


class DynamoCircuits:
    """Stores all circuits in one item of the usage table.

    A successful call writes to the item only to reset the count of earlier failures.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock

    def list_available(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        found = self._table.get(_KEY, consistent=False) or {}
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
        return succeeds(lambda: self._open(provider, circuit))

    def record_success(self, provider: str, circuit: Circuit) -> None:
        if circuit.failures:
            names = {"#failures": f"{provider}_failures", "#until": f"{provider}_opened_until"}
            self._table.update(_KEY, "REMOVE #failures, #until", names=names)

    def record_failure(self, provider: str) -> None:
        failures = f"{provider}_failures"
        counted = self._table.update(
            _KEY,
            "ADD #failures :one",
            names={"#failures": failures},
            values={":one": 1},
            returns="UPDATED_NEW",
        )
        if counted[failures] >= THRESHOLD:
            self._open(provider)

    def _open(self, provider: str, before: Circuit | None = None) -> None:
        """Opens a provider's circuit for OPEN_TIME seconds.

        With `before`, raises ConditionFailedError if another request has opened or closed the
        circuit since `before` was read.
        """
        values = {":until": self._now() + OPEN_TIME * 1000}
        if before:
            values[":read"] = before.opened_until
        self._table.update(
            _KEY,
            "SET #until = :until",
            condition="#until = :read" if before else None,
            names={"#until": f"{provider}_opened_until"},
            values=values,
        )

    def _now(self) -> int:
        return int(self._clock() * 1000)
