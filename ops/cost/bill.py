"""Computes the monthly bill: the charges of every resource, and the unpriced resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ops.cost.charges import CHARGES, UnpricedError
from ops.cost.charges.base import Month, quantities
from ops.cost.prices import Prices, load_prices
from ops.cost.resources import BillableResource, BillableResources
from ops.cost.usage import PER_REQUEST, Usage
from ops.errors import OperatorError
from ops.terraform.stack_document import ConstructPath

CENT = 0.01
"""US dollars. Amounts below half a cent would be displayed as 0.00, so they are omitted."""


@dataclass(frozen=True)
class Item:
    """A charge of one resource in a bill."""

    address: str
    type: str
    construct: ConstructPath
    price: str
    """The name of the price in the price table."""
    quantity: float
    unit: str
    usd: float
    fixed: bool
    """True if the charge does not depend on usage."""


@dataclass(frozen=True)
class Unpriced:
    """A resource for which the price table has no price."""

    address: str
    construct: ConstructPath
    reason: str


@dataclass(frozen=True)
class Bill:
    """The cost of a month, in US dollars."""

    items: tuple[Item, ...]
    unpriced: tuple[Unpriced, ...]
    free: int
    """The number of resources that have no charge."""

    @cached_property
    def usd(self) -> float:
        return sum(item.usd for item in self.items)

    @cached_property
    def fixed_usd(self) -> float:
        return sum(item.usd for item in self.items if item.fixed)

    @property
    def used_usd(self) -> float:
        return self.usd - self.fixed_usd

    @cached_property
    def services(self) -> Mapping[str, Bill]:
        """The bill of each service, the most expensive first. Omits unpriced resources."""
        by_service: dict[str, list[Item]] = {}
        for item in self.items:
            by_service.setdefault(item.construct.service, []).append(item)
        bills = {service: Bill(tuple(items), (), 0) for service, items in by_service.items()}
        return dict(sorted(bills.items(), key=lambda pair: (-pair[1].usd, pair[0])))

    @cached_property
    def resources(self) -> Mapping[str, float]:
        """US dollars by resource address, the most expensive first."""
        by_address: dict[str, float] = {}
        for item in self.items:
            by_address[item.address] = by_address.get(item.address, 0.0) + item.usd
        return dict(sorted(by_address.items(), key=lambda pair: (-pair[1], pair[0])))


def make_bill(resources: BillableResources, usage: Usage, prices: Prices | None = None) -> Bill:
    """Returns the monthly bill for resources.

    Args:
        prices: The price table. The default is the project's prices.yml.

    Raises:
        OperatorError: The usage file has an entry that no charge depends on.
    """
    prices = prices or load_prices()
    check_usage(usage)
    items: list[Item] = []
    unpriced: list[Unpriced] = []
    free = 0
    for resource in resources.items:
        if resource.type in prices.free:
            free += 1
            continue
        try:
            items += _items(resource, resources, usage, prices)
        except UnpricedError as error:
            unpriced.append(Unpriced(resource.address, resource.construct, str(error)))
    items.sort(key=lambda item: (item.construct.path, item.address, item.price, not item.fixed))
    return Bill(tuple(items), tuple(sorted(unpriced, key=lambda item: item.address)), free)


def _items(
    resource: BillableResource, resources: BillableResources, usage: Usage, prices: Prices
) -> Iterable[Item]:
    charge = CHARGES.get(resource.type)
    if charge is None:
        raise UnpricedError(f"no price for {resource.type}")
    month = Month(
        usage.hours, quantities(usage.of(resource.type, resource.construct.path)), resources
    )
    for line in list(charge.lines(resource, month)):
        price = prices.prices[line.price]
        if line.fixed or line.quantity:
            usd = price.usd(line.quantity)
            yield Item(
                resource.address,
                resource.type,
                resource.construct,
                line.price,
                line.quantity,
                price.unit,
                usd,
                line.fixed,
            )


def check_usage(usage: Usage) -> None:
    """Raises OperatorError for a usage-file entry that no charge uses, such as a misspelled one."""
    all_uses = {use for charge in CHARGES.values() for use in charge.uses}
    for where, quantity_names, allowed in [
        *(
            (type_, given, CHARGES[type_].uses if type_ in CHARGES else frozenset())
            for type_, given in usage.types.items()
        ),
        *((path, given, all_uses) for path, given in usage.resources.items()),
    ]:
        wrong = {name for name in quantity_names if name.removesuffix(PER_REQUEST) not in allowed}
        if wrong:
            raise OperatorError(
                f"The usage `{usage.name}` has {', '.join(sorted(wrong))} for {where},"
                f" which no charge uses: use {', '.join(sorted(allowed)) or 'no quantities'}"
            )


@dataclass(frozen=True)
class Difference:
    """The difference between two bills."""

    before: Bill
    after: Bill

    @property
    def usd(self) -> float:
        """The change in US dollars per month. Positive if the cost increases."""
        return self.after.usd - self.before.usd

    @cached_property
    def services(self) -> Mapping[str, tuple[float, float]]:
        """The cost before and after by service, the largest difference first."""
        return _pairs(
            {name: bill.usd for name, bill in self.before.services.items()},
            {name: bill.usd for name, bill in self.after.services.items()},
        )

    @cached_property
    def changed_services(self) -> Mapping[str, tuple[float, float]]:
        """The services whose cost changes, the largest difference first."""
        return _changed(self.services)

    @cached_property
    def resources(self) -> Mapping[str, tuple[float, float]]:
        """The changed costs before and after by resource, the largest difference first."""
        return _changed(_pairs(self.before.resources, self.after.resources))


def _changed(pairs: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {name: (old, new) for name, (old, new) in pairs.items() if abs(new - old) >= CENT / 2}


def _pairs(
    before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    names = dict.fromkeys([*before, *after])
    pairs = {name: (before.get(name, 0.0), after.get(name, 0.0)) for name in names}
    return dict(sorted(pairs.items(), key=lambda pair: (-abs(pair[1][1] - pair[1][0]), pair[0])))
