"""The register of charges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ops.cost.things import Thing, Things


class UnpricedError(Exception):
    """There is no price for a resource; the message says why."""


@dataclass(frozen=True)
class Line:
    """One line of a bill before it has a price."""

    price: str
    """A key of the price table."""
    quantity: float
    """A month's, in the price's unit."""
    fixed: bool = False
    """Charged whether it is used or not."""


@dataclass(frozen=True)
class Month:
    """What charges are computed from besides the resource: the month's length, the usage, the other resources."""

    hours: float
    used: Mapping[str, float]
    """The resource's own quantities; 0 where the usage file says nothing."""
    things: Things


@dataclass(frozen=True)
class Charge:
    """How one type is charged."""

    uses: frozenset[str]
    """The quantities it takes from the usage file."""
    lines: Callable[[Thing, Month], Iterator[Line]]


CHARGES: dict[str, Charge] = {}
"""By resource type."""


def charged(
    type_: str, *uses: str
) -> Callable[[Callable[[Thing, Month], Iterator[Line]]], Callable[[Thing, Month], Iterator[Line]]]:
    """Registers how a type is charged.

    Args:
        uses: the quantities it takes from a usage file.
    """

    def register(
        lines: Callable[[Thing, Month], Iterator[Line]],
    ) -> Callable[[Thing, Month], Iterator[Line]]:
        CHARGES[type_] = Charge(frozenset(uses), lines)
        return lines

    return register


def quantities(used: Mapping[str, float]) -> Mapping[str, float]:
    """Quantities where what is not given is 0."""
    return defaultdict(float, used)
