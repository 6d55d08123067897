"""Registers the charges of resource types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ops.cost.resources import BillableResource, BillableResources


class UnpricedError(Exception):
    """Raised for a resource whose price is unknown. The message states the reason."""


@dataclass(frozen=True)
class Line:
    """One line of a bill, without its cost in US dollars."""

    price: str
    """The name of the price in the price table."""
    quantity: float
    """The quantity per month, in the unit of the price."""
    fixed: bool = False
    """True if the charge does not depend on usage."""


@dataclass(frozen=True)
class Month:
    """The inputs of a charge, in addition to the resource: the month's usage and prices."""

    hours: float
    used: Mapping[str, float]
    """The resource's entries in the usage file. Missing entries are 0."""
    resources: BillableResources


Lines = Callable[[BillableResource, Month], Iterator[Line]]


@dataclass(frozen=True)
class Charge:
    """The charges of a resource type."""

    uses: frozenset[str]
    """The names of the usage-file entries that the charges depend on."""
    lines: Lines


CHARGES: dict[str, Charge] = {}
"""The charges by resource type."""


def charged(type_: str, *uses: str) -> Callable[[Lines], Lines]:
    """Registers a function that yields the charges of a resource type.

    Args:
        uses: The names of the usage-file entries that the charges depend on.
    """

    def register(lines: Lines) -> Lines:
        CHARGES[type_] = Charge(frozenset(uses), lines)
        return lines

    return register


def charge_usage(
    type_: str, *, monthly: str | None = None, hourly: str | None = None, **prices: str
) -> None:
    """Registers a resource type whose charges do not depend on a resource's arguments.

    Args:
        monthly: The name of the price per resource and month. None if there is no such charge.
        hourly: The name of the price per resource and hour. None if there is no such charge.
        prices: The name of the unit price for each usage-file entry that the type is charged for.
    """

    @charged(type_, *prices)
    def lines(_: BillableResource, month: Month) -> Iterator[Line]:
        if monthly:
            yield Line(monthly, 1, fixed=True)
        if hourly:
            yield Line(hourly, month.hours, fixed=True)
        for quantity, price in prices.items():
            yield Line(price, month.used[quantity])


def quantities(used: Mapping[str, float]) -> Mapping[str, float]:
    """Returns a copy of `used` that returns 0 for missing keys."""
    return defaultdict(float, used)
