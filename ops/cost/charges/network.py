"""Charges of NAT gateways, public addresses and VPC endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, UnpricedError, charged
from ops.cost.things import Thing


@charged("aws_nat_gateway", "data_gb")
def nat(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields hours and processed data."""
    yield Line("vpc.nat_hours", month.hours, fixed=True)
    yield Line("vpc.nat_data", month.used["data_gb"])


@charged("aws_eip")
def address(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields the hours of a public IPv4 address, whether it is in use or not."""
    yield Line("vpc.public_address", month.hours, fixed=True)


@charged("aws_vpc_endpoint", "data_gb")
def endpoint(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields hours per subnet and processed data. Gateway endpoints are free."""
    kind = thing.value("vpc_endpoint_type", "Gateway")
    if kind == "Gateway":
        return
    if kind != "Interface":
        raise UnpricedError(f"endpoint of type {kind}")
    yield Line("vpc.endpoint_hours", month.hours * len(thing.values_at("subnet_ids")), fixed=True)
    yield Line("vpc.endpoint_data", month.used["data_gb"])
