"""Defines the charges of NAT gateways, public addresses and VPC endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, UnpricedError, charge_usage, charged
from ops.cost.resources import BillableResource


@charged("aws_vpc_endpoint", "data_gb")
def endpoint(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for hours per subnet and for processed data. Gateway endpoints are
    free.
    """
    kind = resource.value("vpc_endpoint_type", "Gateway")
    if kind == "Gateway":
        return
    if kind != "Interface":
        raise UnpricedError(f"no price for endpoints of type {kind}")
    yield Line(
        "vpc.endpoint_hours", month.hours * len(resource.values_at("subnet_ids")), fixed=True
    )
    yield Line("vpc.endpoint_data", month.used["data_gb"])


charge_usage("aws_nat_gateway", hourly="vpc.nat_hours", data_gb="vpc.nat_data")
# AWS also charges for a public IPv4 address that is not in use.
charge_usage("aws_eip", hourly="vpc.public_address")
