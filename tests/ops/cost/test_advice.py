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


def savings(found: list[Advice]) -> dict[tuple[str, str], float]:
    """Returns the savings by setting and by the value that would replace the present one."""
    return {(item.setting, item.instead): item.saves for item in found}


def test_each_aurora_instance_costs_at_least_the_minimum_capacity() -> None:
    found = savings(
        advice(
            resource("aws_rds_cluster", "database/aurora", **CLUSTER),
            resource("aws_rds_cluster_instance", "database/aurora-0", **INSTANCE),
            resource("aws_rds_cluster_instance", "database/aurora-1", **INSTANCE),
        )
    )
    whole = 2 * 2 * HOURS * 0.12
    assert found["rds.min_capacity", "0"] == pytest.approx(whole)
    assert found["rds.min_capacity", "0.5"] == pytest.approx(whole * 3 / 4)
    assert found["rds.instances", "1"] == pytest.approx(whole / 2)


def test_the_only_advice_for_a_small_cluster_is_to_let_it_pause() -> None:
    least = {"min_capacity": 0.5, "max_capacity": 1}
    found = advice(
        resource(
            "aws_rds_cluster",
            "database/aurora",
            **{**CLUSTER, "serverlessv2_scaling_configuration": least},
        ),
        resource("aws_rds_cluster_instance", "database/aurora-0", **INSTANCE),
    )
    assert savings(found) == {("rds.min_capacity", "0"): pytest.approx(0.5 * HOURS * 0.12)}


def test_a_pause_saves_nothing_while_there_are_requests() -> None:
    cluster = resource("aws_rds_cluster", "database/aurora", **CLUSTER)
    instance = resource("aws_rds_cluster_instance", "database/aurora-0", **INSTANCE)
    found = savings(advice(cluster, instance, aws_rds_cluster_instance={"requests": 1e6}))
    # The requests keep the instance awake, with at least 0.5 capacity units.
    assert found["rds.min_capacity", "0"] == pytest.approx((2 - 0.5) * HOURS * 0.12)
    assert found["rds.min_capacity", "0"] == pytest.approx(found["rds.min_capacity", "0.5"])


def test_scheduling_provisioned_executions_is_advised() -> None:
    found = savings(
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
    [(_, scheduled)] = [item for item in found if item[1] != "0"]
    assert found["lambdas.provisioned_concurrency", "0"] == pytest.approx(whole)
    assert found["lambdas.provisioned_concurrency", scheduled] == pytest.approx(
        whole * (1 - WORKING_HOURS / HOURS)
    )


def test_the_advice_on_an_endpoint_names_the_traffic_above_which_it_saves_money() -> None:
    endpoint = {"vpc_endpoint_type": "Interface", "subnet_ids": ["a", "b", "c"]}
    found = advice(
        *(resource("aws_nat_gateway", f"networking/nat-{number}") for number in range(3)),
        *(resource("aws_eip", f"networking/address-{number}") for number in range(3)),
        resource("aws_vpc_endpoint", "networking/ssm-endpoint", **endpoint),
        resource("aws_vpc_endpoint", "networking/s3", vpc_endpoint_type="Gateway"),
    )
    amounts = savings(found)
    assert amounts["network.nat_gateways", "1"] == pytest.approx(2 * HOURS * (0.045 + 0.005))
    ipv6 = amounts["network.nat_gateways", "0, with network.ipv6_egress: true"]
    assert ipv6 == pytest.approx(3 * HOURS * (0.045 + 0.005))
    hours = 3 * HOURS * 0.01
    assert amounts["network.interface_endpoints", "none"] == pytest.approx(hours)
    [text] = [item.buys for item in found if item.setting == "network.interface_endpoints"]
    # An endpoint's traffic costs 0.035 USD less for each GB.
    assert f"from {hours / 0.035:,.0f} GB a month" in text


def test_a_smaller_cache_node_or_no_replica_is_advised() -> None:
    group = {"engine": "valkey", "node_type": "cache.t4g.small", "num_cache_clusters": 2}
    found = savings(
        advice(resource("aws_elasticache_replication_group", "database/cache", **group))
    )
    assert found == {
        ("elasticache.replicas", "0"): pytest.approx(HOURS * 0.0256),
        ("elasticache.node_type", "cache.t4g.micro"): pytest.approx(2 * HOURS * 0.0128),
    }


def test_every_node_type_with_a_price_has_a_smaller_one_except_the_smallest() -> None:
    start = "elasticache.valkey."
    hours = {
        name.removeprefix(start): price.usd(1)
        for name, price in load_prices().prices.items()
        if name.startswith(start)
    }
    assert hours.keys() - SMALLER_NODES.keys() == {"cache.t4g.micro"}
    for node, smaller in SMALLER_NODES.items():
        assert hours[smaller] <= 0.52 * hours[node]


def test_savings_of_shorter_retention_and_fewer_traces_and_alarms_equal_the_sum_by_hand() -> None:
    found = savings(
        advice(
            resource("aws_cloudwatch_log_group", "auth/logs", retention_in_days=365),
            resource("aws_api_gateway_stage", "rest-api/stage", xray_tracing_enabled=True),
            resource("aws_cloudwatch_metric_alarm", "monitoring/posts-throttles-alarm", period=60),
            aws_cloudwatch_log_group={"ingested_gb": 20},
            aws_api_gateway_stage={"traces": 1_000_000},
        )
    )
    # 15 % of a year's logs cost 0.03 USD per GB and month.
    stored = 12 * 20 * 0.15 * 0.03
    assert found["monitoring.log_retention_days", "30"] == pytest.approx(stored * (1 - 30 / 365))
    infrequent = found["the class of log groups (not in the environment file)", "Infrequent Access"]
    assert infrequent == pytest.approx(20 * (0.50 - 0.25))
    assert found["X-Ray's sampling rule (not in the environment file)", "1%"] == pytest.approx(
        5 * 0.8
    )
    assert found["monitoring.detailed_metrics", "false"] == pytest.approx(0.1)


def test_the_largest_saving_is_first_and_without_a_saving_there_is_no_advice() -> None:
    assert advice(resource("aws_wafv2_web_acl", "security/firewall")) == []
    nodes = {"engine": "valkey", "node_type": "cache.t4g.micro", "num_cache_clusters": 3}
    found = advice(
        resource("aws_elasticache_replication_group", "database/cache", **nodes),
        *(resource("aws_nat_gateway", f"networking/nat-{number}") for number in range(2)),
    )
    assert [(item.setting, item.instead[0]) for item in found] == [
        ("network.nat_gateways", "0"),
        ("network.nat_gateways", "1"),
        ("elasticache.replicas", "0"),
    ]
