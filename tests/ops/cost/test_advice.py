"""Compares the savings that other settings would bring with amounts computed by hand."""

from __future__ import annotations

import pytest

from ops.cost.advice import SMALLER_NODES, WORKING_HOURS, Advice, advise
from ops.cost.bill import make_bill
from ops.cost.prices import load_prices
from ops.cost.resources import BillableResource, BillableResources
from ops.cost.usage import Usage
from tests.ops.cost.test_bill import HOURS, resource

CLUSTER = {
    "cluster_identifier": "c",
    "engine": "aurora-postgresql",
    "serverlessv2_scaling_configuration": {"min_capacity": 2, "max_capacity": 16},
}
INSTANCE = {"cluster_identifier": "c", "instance_class": "db.serverless"}


def advice(*resources: BillableResource, **usage: dict[str, float]) -> list[Advice]:
    used = Usage(name="test", requests=0, types=usage)
    every = BillableResources(resources)
    return advise(every, make_bill(every, used), load_prices(), used)


def savings(items: list[Advice]) -> dict[tuple[str, str], float]:
    """Returns the saving in USD a month for each pair of a setting and its suggested value."""
    return {(item.setting, item.instead): item.saves for item in items}


def test_each_aurora_instance_costs_at_least_the_minimum_capacity() -> None:
    amounts = savings(
        advice(
            resource("aws_rds_cluster", "database/aurora", **CLUSTER),
            resource("aws_rds_cluster_instance", "database/aurora-0", **INSTANCE),
            resource("aws_rds_cluster_instance", "database/aurora-1", **INSTANCE),
        )
    )
    whole = 2 * 2 * HOURS * 0.12
    assert amounts["rds.min_capacity", "0"] == pytest.approx(whole)
    assert amounts["rds.min_capacity", "0.5"] == pytest.approx(whole * 3 / 4)
    assert amounts["rds.instances", "1"] == pytest.approx(whole / 2)


def test_the_only_advice_for_a_small_cluster_is_to_let_it_pause() -> None:
    capacity = {"min_capacity": 0.5, "max_capacity": 1}
    items = advice(
        resource(
            "aws_rds_cluster",
            "database/aurora",
            **{**CLUSTER, "serverlessv2_scaling_configuration": capacity},
        ),
        resource("aws_rds_cluster_instance", "database/aurora-0", **INSTANCE),
    )
    assert savings(items) == {("rds.min_capacity", "0"): pytest.approx(0.5 * HOURS * 0.12)}


def test_minimum_capacity_0_saves_no_more_than_0_5_if_requests_prevent_a_pause() -> None:
    cluster = resource("aws_rds_cluster", "database/aurora", **CLUSTER)
    instance = resource("aws_rds_cluster_instance", "database/aurora-0", **INSTANCE)
    amounts = savings(advice(cluster, instance, aws_rds_cluster_instance={"requests": 1e6}))
    # Requests prevent a pause, so the instance runs with at least 0.5 capacity units.
    assert amounts["rds.min_capacity", "0"] == pytest.approx((2 - 0.5) * HOURS * 0.12)
    assert amounts["rds.min_capacity", "0"] == pytest.approx(amounts["rds.min_capacity", "0.5"])


def test_scheduling_provisioned_concurrency_is_advised() -> None:
    amounts = savings(
        advice(
            resource(
                "aws_lambda_function", "chat/function", function_name="chat", memory_size=1024
            ),
            resource(
                "aws_lambda_provisioned_concurrency_config",
                "chat/warm",
                function_name="chat",
                provisioned_concurrent_executions=5,
            ),
        )
    )
    whole = 5 * HOURS * 3600 * 0.0000041667
    [(_, scheduled)] = [item for item in amounts if item[1] != "0"]
    assert amounts["lambdas.provisioned_concurrency", "0"] == pytest.approx(whole)
    assert amounts["lambdas.provisioned_concurrency", scheduled] == pytest.approx(
        whole * (1 - WORKING_HOURS / HOURS)
    )


def test_the_advice_names_the_traffic_above_which_an_endpoint_saves_money() -> None:
    endpoint = {"vpc_endpoint_type": "Interface", "subnet_ids": ["a", "b", "c"]}
    items = advice(
        *(resource("aws_nat_gateway", f"networking/nat-{number}") for number in range(3)),
        *(resource("aws_eip", f"networking/address-{number}") for number in range(3)),
        resource("aws_vpc_endpoint", "networking/ssm-endpoint", **endpoint),
        resource("aws_vpc_endpoint", "networking/s3", vpc_endpoint_type="Gateway"),
    )
    amounts = savings(items)
    assert amounts["network.nat_gateways", "1"] == pytest.approx(2 * HOURS * (0.045 + 0.005))
    ipv6 = amounts["network.nat_gateways", "0, with network.ipv6_egress: true"]
    assert ipv6 == pytest.approx(3 * HOURS * (0.045 + 0.005))
    hours = 3 * HOURS * 0.01
    assert amounts["network.interface_endpoints", "none"] == pytest.approx(hours)
    [text] = [item.buys for item in items if item.setting == "network.interface_endpoints"]
    # Traffic costs 0.035 USD per GB less through an endpoint than through a NAT gateway.
    assert f"than {hours / 0.035:,.0f} GB a month" in text


def test_a_smaller_cache_node_or_no_replica_is_advised() -> None:
    group = {"engine": "valkey", "node_type": "cache.t4g.small", "num_cache_clusters": 2}
    amounts = savings(
        advice(resource("aws_elasticache_replication_group", "database/cache", **group))
    )
    assert amounts == {
        ("elasticache.replicas", "0"): pytest.approx(HOURS * 0.0256),
        ("elasticache.node_type", "cache.t4g.micro"): pytest.approx(2 * HOURS * 0.0128),
    }


def test_every_priced_node_type_except_the_smallest_has_a_smaller_node_type() -> None:
    start = "elasticache.valkey."
    hours = {
        name.removeprefix(start): price.usd(1)
        for name, price in load_prices().prices.items()
        if name.startswith(start)
    }
    assert hours.keys() - SMALLER_NODES.keys() == {"cache.t4g.micro"}
    for node, smaller in SMALLER_NODES.items():
        assert hours[smaller] <= 0.52 * hours[node]


def test_savings_on_logs_traces_and_alarms_equal_amounts_computed_by_hand() -> None:
    amounts = savings(
        advice(
            resource("aws_cloudwatch_log_group", "auth/logs", retention_in_days=365),
            resource("aws_api_gateway_stage", "rest-api/stage", xray_tracing_enabled=True),
            resource("aws_cloudwatch_metric_alarm", "monitoring/posts-throttles-alarm", period=60),
            aws_cloudwatch_log_group={"ingested_gb": 20},
            aws_api_gateway_stage={"traces": 1_000_000},
        )
    )
    # CloudWatch compresses a year's logs to 15 %, and stores them for 0.03 USD per GB and month.
    stored = 12 * 20 * 0.15 * 0.03
    assert amounts["monitoring.log_retention_days", "30"] == pytest.approx(stored * (1 - 30 / 365))
    infrequent = amounts[
        "the class of log groups (not in the environment file)", "Infrequent Access"
    ]
    assert infrequent == pytest.approx(20 * (0.50 - 0.25))
    assert amounts["X-Ray's sampling rule (not in the environment file)", "1%"] == pytest.approx(
        5 * 0.8
    )
    assert amounts["monitoring.detailed_metrics", "false"] == pytest.approx(0.1)


def test_advice_is_sorted_by_saving_and_empty_if_nothing_can_be_saved() -> None:
    assert advice(resource("aws_wafv2_web_acl", "security/firewall")) == []
    nodes = {"engine": "valkey", "node_type": "cache.t4g.micro", "num_cache_clusters": 3}
    items = advice(
        resource("aws_elasticache_replication_group", "database/cache", **nodes),
        *(resource("aws_nat_gateway", f"networking/nat-{number}") for number in range(2)),
    )
    assert [(item.setting, item.instead[0]) for item in items] == [
        ("network.nat_gateways", "0"),
        ("network.nat_gateways", "1"),
        ("elasticache.replicas", "0"),
    ]
