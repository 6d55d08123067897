"""Lists cheaper values for settings, with the saving and the disadvantage of each value.

The savings are computed from the bill of the stack. Nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ops.cost.bill import CENT, Bill, Item, make_bill
from ops.cost.prices import Prices
from ops.cost.resources import BillableResource, BillableResources
from ops.cost.usage import HOURS, Usage

LEAST_UNITS = 0.5
"""Aurora capacity units. The smallest minimum capacity with which the database never pauses."""
WORKING_HOURS = 12 * 5 * 52 / 12
"""Hours per month of a schedule from Monday to Friday, 12 hours a day."""
KEPT_DAYS = 30
SAMPLED = 0.05
"""The share of requests that X-Ray's default rule traces. The rule also traces the first request of
each second.
"""
_TABLE = "aws_dynamodb_table"
_TABLE_ALARM = re.compile(r"^monitoring/.+-(system-errors|throttles)-alarm$")
SMALLER_NODES = {
    "cache.t4g.small": "cache.t4g.micro",
    "cache.t4g.medium": "cache.t4g.small",
    "cache.r7g.large": "cache.t4g.medium",
    "cache.r7g.xlarge": "cache.r7g.large",
    "cache.r7g.2xlarge": "cache.r7g.xlarge",
    "cache.r7g.4xlarge": "cache.r7g.2xlarge",
}
"""The next smaller type, by node type. Lists all priced node types except the smallest one."""


@dataclass(frozen=True)
class Advice:
    """A suggested value for a setting of the environment file, and what it saves."""

    setting: str
    """The key in the environment file."""
    now: str
    usd: float
    """US dollars a month that the present value costs."""
    instead: str
    """The suggested value."""
    saves: float
    """Saving of the suggested value in US dollars a month. Negative if it costs more."""
    buys: str
    """What the environment has only with the present value. Printed after `gives up`."""


def advise(resources: BillableResources, bill: Bill, prices: Prices, usage: Usage) -> list[Advice]:
    """Returns cheaper values of settings, the largest saving first.

    Args:
        bill: The bill of the resources for this usage.
    """
    costs = _Costs(resources, bill, prices, usage)
    found = [advice for rule in _RULES for advice in rule(costs)]
    return sorted(
        (advice for advice in found if advice.saves >= CENT), key=lambda advice: -advice.saves
    )


class _Costs:
    """Looks up resources of a stack, and amounts in its bill."""

    def __init__(
        self, resources: BillableResources, bill: Bill, prices: Prices, usage: Usage
    ) -> None:
        self._resources, self._bill, self._prices, self._usage = resources, bill, prices, usage

    def every(self, type_: str) -> list[BillableResource]:
        return [item for item in self._resources.items if item.type == type_]

    def value(self, type_: str, path: str) -> float:
        """Returns the number at a path in the first resource of a type. Missing numbers are 0."""
        return next((float(item.value(path, 0)) for item in self.every(type_)), 0.0)

    def usd(self, *prices: str, where: Callable[[Item], bool] = lambda _: True) -> float:
        """Returns the sum of some charges in US dollars.

        Args:
            prices: Names of prices. Charges with other prices are not counted.
            where: Returns True for the charges to count.
        """
        return sum(item.usd for item in self._bill.items if item.price in prices and where(item))

    def saved_by(self, type_: str, values: Mapping[str, Any]) -> float:
        """Returns the US dollars a month saved if all resources of a type had these values."""
        changed = BillableResources(
            tuple(
                replace(item, values={**item.values, **values}) if item.type == type_ else item
                for item in self._resources.items
            )
        )
        return self._bill.usd - make_bill(changed, self._usage, self._prices).usd

    def price(self, name: str) -> float:
        return self._prices.prices[name].usd(1)

    def node_price(self, node: str) -> float:
        return self.price(f"elasticache.valkey.{node}")


def _aurora(costs: _Costs) -> Iterator[Advice]:
    least = costs.value("aws_rds_cluster", "serverlessv2_scaling_configuration.min_capacity")
    instances = len(costs.every("aws_rds_cluster_instance"))
    usd = costs.usd("aurora.capacity", where=lambda item: item.fixed)
    if not instances or not least:
        return
    if least > LEAST_UNITS:
        yield Advice(
            "rds.min_capacity",
            f"{least:g}",
            usd,
            f"{LEAST_UNITS:g}",
            usd * (1 - LEAST_UNITS / least),
            "warm buffers, and requests that need not wait until the cluster scales up",
        )
    most = costs.value("aws_rds_cluster", "serverlessv2_scaling_configuration.max_capacity")
    pausing = {"serverlessv2_scaling_configuration": {"min_capacity": 0, "max_capacity": most}}
    yield Advice(
        "rds.min_capacity",
        f"{least:g}",
        usd,
        "0",
        costs.saved_by("aws_rds_cluster", pausing),
        "a database that is always ready: a paused cluster needs about 15 s for its first request",
    )
    if instances > 1:
        yield Advice(
            "rds.instances",
            str(instances),
            usd,
            "1",
            usd * (1 - 1 / instances),
            "a failover within a minute: a single instance takes minutes to be replaced",
        )


def _warm_functions(costs: _Costs) -> Iterator[Advice]:
    usd = costs.usd("lambda.provisioned.arm64", "lambda.provisioned.x86_64")
    configured = costs.every("aws_lambda_provisioned_concurrency_config")
    count = sum(int(item.value("provisioned_concurrent_executions", 0)) for item in configured)
    if not count:
        return
    buys = f"warm Lambda environments for the first {count} concurrent requests"
    yield Advice("lambdas.provisioned_concurrency", f"{count} in all", usd, "0", usd, buys)
    yield Advice(
        "lambdas.provisioned_concurrency",
        f"{count} in all",
        usd,
        "the same number for 12 hours of each working day (a schedule of Application Auto Scaling)",
        usd * (1 - WORKING_HOURS / HOURS),
        f"{buys} at night and on weekends",
    )


def _cache(costs: _Costs) -> Iterator[Advice]:
    for group in costs.every("aws_elasticache_replication_group"):
        node, nodes = str(group.value("node_type")), int(group.value("num_cache_clusters", 1))
        usd = costs.usd(f"elasticache.valkey.{node}")
        if nodes > 1:
            yield Advice(
                "elasticache.replicas",
                str(nodes - 1),
                usd,
                "0",
                usd * (1 - 1 / nodes),
                "a failover: without a replica, live delivery stops until a new node starts",
            )
        smaller = SMALLER_NODES.get(node)
        if smaller:
            yield Advice(
                "elasticache.node_type",
                node,
                usd,
                smaller,
                usd * (1 - costs.node_price(smaller) / costs.node_price(node)),
                "memory for at least twice the connections",
            )


def _network(costs: _Costs) -> Iterator[Advice]:
    gateways = len(costs.every("aws_nat_gateway"))
    usd = costs.usd("vpc.nat_hours", "vpc.public_address")
    if gateways > 1:
        yield Advice(
            "network.nat_gateways",
            str(gateways),
            usd,
            "1",
            usd * (1 - 1 / gateways),
            "outbound traffic from the other zones if the zone of the only NAT gateway fails",
        )
    if gateways:
        usd = costs.usd("vpc.nat_hours", "vpc.public_address", "vpc.nat_data")
        yield Advice(
            "network.nat_gateways",
            str(gateways),
            usd,
            "0, with network.ipv6_egress: true",
            usd,
            "connections to servers that have no IPv6 address",
        )
    endpoints = [
        item
        for item in costs.every("aws_vpc_endpoint")
        if item.value("vpc_endpoint_type") == "Interface"
    ]
    usd = costs.usd("vpc.endpoint_hours")
    if endpoints and gateways:
        each = usd / len(endpoints)
        data = each / (costs.price("vpc.nat_data") - costs.price("vpc.endpoint_data"))
        yield Advice(
            "network.interface_endpoints",
            f"{len(endpoints)} services",
            usd,
            "none",
            usd,
            "traffic that stays in AWS's network. If a service has more traffic than"
            f" {data:,.0f} GB a month, its endpoint costs less than the NAT gateway",
        )


def _monitoring(costs: _Costs) -> Iterator[Advice]:
    alarms = costs.usd(
        "cloudwatch.alarm", where=lambda item: bool(_TABLE_ALARM.match(item.construct.path))
    )
    if alarms:
        yield Advice(
            "monitoring.detailed_metrics",
            "true",
            alarms,
            "false",
            alarms,
            "an alarm for each table, metrics of each route, and Performance Insights",
        )
    traces = costs.usd("xray.traces")
    yield Advice(
        "X-Ray's sampling rule (not in the environment file)",
        f"{SAMPLED:.0%} of requests",
        traces,
        "1%",
        traces * (1 - 0.01 / SAMPLED),
        "traces of rare requests",
    )
    ingested = costs.usd("cloudwatch.logs")
    yield Advice(
        "the class of log groups (not in the environment file)",
        "Standard",
        ingested,
        "Infrequent Access",
        ingested
        * (1 - costs.price("cloudwatch.logs_infrequent_access") / costs.price("cloudwatch.logs")),
        "`ops logs`, and the search for errors in a bake period: both call FilterLogEvents, which"
        " the class Infrequent Access does not support",
    )
    days = max(
        (
            int(group.value("retention_in_days", 0))
            for group in costs.every("aws_cloudwatch_log_group")
        ),
        default=0,
    )
    usd = costs.usd("cloudwatch.logs_storage")
    if days > KEPT_DAYS:
        yield Advice(
            "monitoring.log_retention_days",
            str(days),
            usd,
            str(KEPT_DAYS),
            usd * (1 - KEPT_DAYS / days),
            f"logs of incidents that are found after more than {KEPT_DAYS} days",
        )


def _protection(costs: _Costs) -> Iterator[Advice]:
    usd = costs.usd("dynamodb.point_in_time_recovery")
    tables = [bool(t.value("point_in_time_recovery.enabled")) for t in costs.every(_TABLE)]
    # Some tables have point-in-time recovery in every environment. The setting turns it on for the
    # other tables, except those with transient data.
    if sum(tables) > len(tables) / 2:
        yield Advice(
            "dynamodb.point_in_time_recovery",
            "true",
            usd,
            "false",
            usd,
            "tables that can be restored to any second of the last 35 days",
        )
    limited = [
        rule
        for acl in costs.every("aws_wafv2_web_acl")
        for rule in acl.values_at("rule.statement.rate_based_statement")
    ]
    if limited:
        yield Advice(
            "rate_limiting",
            "true",
            costs.price("waf.rule") * len(limited),
            "false",
            costs.price("waf.rule") * len(limited),
            "limits on the requests of each IP address, and on attempts to sign in",
        )


_RULES = (_aurora, _warm_functions, _cache, _network, _monitoring, _protection)
