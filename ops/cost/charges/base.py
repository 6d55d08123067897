"""Registers the charges of resource types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ops.cost.things import Thing, Things


class UnpricedError(Exception):
    """The price of a resource is unknown. The message states the reason."""


@dataclass(frozen=True)
class Line:
    """One line of a bill, without its cost."""

    price: str
    """A key of the price table."""
    quantity: float
    """Per month, in the price's unit."""
    fixed: bool = False
    """True if the charge does not depend on usage."""


@dataclass(frozen=True)
class Month:
    """The inputs of charges other than the resource itself."""

    hours: float
    used: Mapping[str, float]
    """The quantities of the resource. 0 for those missing in the usage file."""
    things: Things


@dataclass(frozen=True)
class Charge:
    """The charges of a resource type."""

    uses: frozenset[str]
    """The quantities of the usage file that the charges use."""
    lines: Callable[[Thing, Month], Iterator[Line]]


CHARGES: dict[str, Charge] = {}
"""By resource type."""


def charged(
    type_: str, *uses: str
) -> Callable[[Callable[[Thing, Month], Iterator[Line]]], Callable[[Thing, Month], Iterator[Line]]]:
    """Registers a function that yields the charges of a resource type.

    Args:
        uses: the quantities of the usage file that the charges use.
    """

    def register(
        lines: Callable[[Thing, Month], Iterator[Line]],
    ) -> Callable[[Thing, Month], Iterator[Line]]:
        CHARGES[type_] = Charge(frozenset(uses), lines)
        return lines

    return register


def quantities(used: Mapping[str, float]) -> Mapping[str, float]:
    """Returns the quantities with 0 for missing keys."""
    return defaultdict(float, used)
