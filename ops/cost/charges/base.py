"""Registers the charges of resource types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ops.cost.resources import BillableResource, BillableResources


class UnpricedError(Exception):
    """The price of a resource is unknown. The message states the reason."""


@dataclass(frozen=True)
class Line:
    """One line of a bill, without its cost."""

    price: str
    """A key of the price table."""
    quantity: float
    """The quantity per month, in the price's unit."""
    fixed: bool = False
    """True if the charge does not depend on usage."""


@dataclass(frozen=True)
class Month:
    """The inputs of a charge, in addition to the resource."""

    hours: float
    used: Mapping[str, float]
    """The resource's quantities from the usage file. A missing quantity is 0."""
    resources: BillableResources


Lines = Callable[[BillableResource, Month], Iterator[Line]]


@dataclass(frozen=True)
class Charge:
    """The charges of a resource type."""

    uses: frozenset[str]
    """The quantities of the usage file that the charges use."""
    lines: Lines


CHARGES: dict[str, Charge] = {}
"""The charges by resource type."""


def charged(type_: str, *uses: str) -> Callable[[Lines], Lines]:
    """Registers a function that yields the charges of a resource type.

    Args:
        uses: the quantities of the usage file that the charges use.
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
        monthly: the price of one resource for a month, if it has one.
        hourly: the price of one resource for an hour, if it has one.
        prices: keys of the price table, by the quantity of the usage file that they apply to.
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
    """Returns the quantities with 0 for missing keys."""
    return defaultdict(float, used)
