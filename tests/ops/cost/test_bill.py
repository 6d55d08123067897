"""Compares bills with amounts computed by hand from AWS's price pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.cost.bill import Bill, Difference, make_bill
from ops.cost.charges import CHARGES
from ops.cost.prices import load_prices
from ops.cost.resources import BillableResource, BillableResources, plan_resources
from ops.cost.usage import Usage, load_usage, samples
from ops.errors import OperatorError
from ops.terraform.plan import read_plan
from ops.terraform.stack_document import ConstructPath
from tests.ops.review.documents import document, item

HOURS = 730


def resource(type_: str, path: str, **values: Any) -> BillableResource:
    return BillableResource(
        f"{type_}.{path.replace('/', '_')}",
        type_,
        ConstructPath(path, path.partition("/")[0]),
        values,
    )


def bill(*resources: BillableResource, requests: float = 0, **usage: dict[str, float]) -> Bill:
    return make_bill(
        BillableResources(resources), Usage(name="test", requests=requests, types=usage)
    )


def test_the_bill_of_a_function_and_an_api_equals_a_sum_computed_by_hand() -> None:
    result = bill(
        resource("aws_lambda_function", "auth/function", memory_size=512, architectures=["arm64"]),
        resource("aws_api_gateway_rest_api", "rest-api/api"),
        resource("aws_cloudwatch_log_group", "auth/logs", retention_in_days=365),
        resource("aws_cloudwatch_metric_alarm", "auth/alarm", period=300),
        requests=1_000_000,
        aws_lambda_function={"invocations_per_request": 1, "duration_ms": 100},
        aws_api_gateway_rest_api={"requests_per_request": 1, "out_gb": 4},
        aws_cloudwatch_log_group={"ingested_gb": 2},
    )
    # Function: 1,000,000 requests, 100,000 s with 0.5 GB. API: 1,000,000 requests, 4 GB out.
    # Logs: 2 GB ingested, and 15 % of a year's logs stored. One alarm.
    stored = 12 * 2 * 0.15 * 0.03
    by_hand = 0.20 + 50_000 * 0.0000133334 + 3.50 + 4 * 0.09 + 2 * 0.50 + stored + 0.10
    assert result.usd == pytest.approx(by_hand)
    assert result.usd == pytest.approx(5.93467)
    assert result.fixed_usd == pytest.approx(0.10)


def test_the_bill_of_data_stores_equals_a_sum_computed_by_hand() -> None:
    cluster = {
        "engine": "aurora-postgresql",
        "cluster_identifier": "c",
        "manage_master_user_password": True,
        "serverlessv2_scaling_configuration": [{"min_capacity": 0.5, "max_capacity": 4}],
    }
    result = bill(
        resource(
            "aws_dynamodb_table",
            "database/posts",
            billing_mode="PROVISIONED",
            read_capacity=5,
            write_capacity=5,
            point_in_time_recovery=[{"enabled": True}],
            global_secondary_index=[{"read_capacity": 10, "write_capacity": 5}],
        ),
        resource("aws_dynamodb_table", "database/likes", billing_mode="PAY_PER_REQUEST"),
        resource("aws_rds_cluster", "database/aurora", **cluster),
        resource(
            "aws_rds_cluster_instance",
            "database/aurora-0",
            instance_class="db.serverless",
            cluster_identifier="c",
        ),
        resource(
            "aws_rds_cluster_instance",
            "database/aurora-1",
            instance_class="db.serverless",
            cluster_identifier="c",
        ),
        resource(
            "aws_elasticache_replication_group",
            "database/cache",
            node_type="cache.t4g.small",
            num_cache_clusters=2,
        ),
        aws_dynamodb_table={"reads": 2_000_000, "writes": 1_000_000, "storage_gb": 10},
        aws_rds_cluster={"storage_gb": 20, "io": 5_000_000, "backup_gb": 10},
        aws_rds_cluster_instance={"acu": 1.5},
    )
    posts = HOURS * (10 * 0.00065 + 15 * 0.00013) + 10 * 0.25 + 10 * 0.20
    likes = 1 * 0.625 + 2 * 0.125 + 10 * 0.25
    aurora = 2 * HOURS * 1.5 * 0.12 + 20 * 0.10 + 5 * 0.20 + 10 * 0.021 + 0.40
    cache = 2 * HOURS * 0.032
    assert result.usd == pytest.approx(posts + likes + aurora + cache)
    assert result.usd == pytest.approx(327.1735)
    # An idle month costs only the minimum capacity.
    assert result.fixed_usd == pytest.approx(
        HOURS * (10 * 0.00065 + 15 * 0.00013) + 2 * HOURS * 0.5 * 0.12 + 0.40 + cache
    )


def test_400_million_requests_are_charged_in_cheaper_tiers() -> None:
    result = bill(
        resource("aws_api_gateway_rest_api", "rest-api/api"),
        resource(
            "aws_wafv2_web_acl", "security/firewall", rule=[{"name": "rate"}, {"name": "common"}]
        ),
        resource("aws_nat_gateway", "networking/nat-0"),
        resource("aws_eip", "networking/address-0"),
        resource(
            "aws_vpc_endpoint",
            "networking/ssm",
            vpc_endpoint_type="Interface",
            subnet_ids=["a", "b", "c"],
        ),
        resource("aws_vpc_endpoint", "networking/s3", vpc_endpoint_type="Gateway"),
        resource("aws_cognito_user_pool", "security/pool", user_pool_tier="LITE"),
        resource("aws_kms_key", "security/key"),
        resource("aws_cloudwatch_dashboard", "monitoring/dashboard"),
        resource(
            "aws_lambda_function",
            "auth/function",
            function_name="auth",
            memory_size=1024,
            architectures=["arm64"],
        ),
        resource(
            "aws_lambda_provisioned_concurrency_config",
            "auth/warm",
            function_name="auth",
            provisioned_concurrent_executions=10,
        ),
        requests=400_000_000,
        aws_api_gateway_rest_api={"requests_per_request": 1},
        aws_wafv2_web_acl={"requests_per_request": 1},
        aws_nat_gateway={"data_gb": 100},
        aws_vpc_endpoint={"data_gb": 50},
        aws_cognito_user_pool={"active_users": 50_000},
        aws_kms_key={"requests": 20_000},
    )
    api = 333 * 3.50 + 67 * 2.80
    firewall = 5 + 2 * 1 + 400 * 0.60
    network = HOURS * 0.045 + 100 * 0.045 + HOURS * 0.005 + 3 * HOURS * 0.01 + 50 * 0.01
    users = 40_000 * 0.0055
    warm = 10 * 1 * HOURS * 3600 * 0.0000033334
    assert result.usd == pytest.approx(api + firewall + network + users + 1 + 2 * 0.03 + 3 + warm)
    assert result.usd == pytest.approx(1975.1624, abs=1e-3)


def test_unpriced_resources_are_listed() -> None:
    result = bill(
        resource("aws_opensearch_domain", "search/domain"),
        resource(
            "aws_elasticache_replication_group",
            "database/cache",
            node_type="cache.r9.mega",
            num_cache_clusters=1,
        ),
        resource("aws_iam_role", "auth/role"),
    )
    assert {(entry.construct.path, entry.reason) for entry in result.unpriced} == {
        ("search/domain", "no price for aws_opensearch_domain"),
        ("database/cache", "no price for cache.r9.mega"),
    }
    assert (result.usd, result.free) == (0, 1)


def test_the_cost_of_a_plan_is_the_bill_after_it_minus_the_bill_before_it() -> None:
    plan = document(
        item(
            "aws_nat_gateway",
            "networking_nat-1_0123ABCD",
            None,
            {"subnet_id": "a", "tags": {"Service": "platform"}},
        ),
        item("aws_cloudwatch_metric_alarm", "auth_alarm_0123ABCD", {"period": 300}, None),
        item("aws_eip", "networking_a_0123ABCD", {"domain": "vpc"}, {"domain": "vpc"}),
    )
    before, after = plan_resources(read_plan(plan))
    usage = load_usage("idle")
    difference = Difference(make_bill(before, usage), make_bill(after, usage))
    assert difference.usd == pytest.approx(HOURS * 0.045 + 1 * 0.045 - 0.10)
    assert set(difference.resources) == {
        "aws_nat_gateway.networking_nat-1_0123ABCD",
        "aws_cloudwatch_metric_alarm.auth_alarm_0123ABCD",
    }
    assert difference.services["auth"] == pytest.approx((0.10, 0))


def test_the_sample_usage_files_have_0_and_1_million_and_100_million_requests() -> None:
    assert {load_usage(name).requests for name in samples()} == {0, 1_000_000, 100_000_000}
    for name in samples():
        assert make_bill(BillableResources(()), load_usage(name)).usd == 0


def test_an_invalid_usage_file_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "usage.yml"
    file.write_text("name: mine\nrequests: 1\ntypes:\n  aws_lambda_function: {invocation: 5}\n")
    with pytest.raises(
        OperatorError, match="invocation for aws_lambda_function.*duration_ms, invocations"
    ):
        make_bill(BillableResources(()), load_usage(str(file)))
    file.write_text("requests: many\n")
    with pytest.raises(OperatorError, match="usage.yml"):
        load_usage(str(file))
    with pytest.raises(OperatorError, match="100m, 1m, idle"):
        load_usage("nowhere")


def test_a_usage_file_can_extend_and_override_another_usage_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "base.yml").write_text(
        "name: base\nrequests: 5\ntypes:\n  aws_s3_bucket: {reads: 1, writes: 2}\n"
    )
    (tmp_path / "mine.yml").write_text(
        "like: base.yml\nname: mine\ntypes:\n  aws_s3_bucket: {reads_per_request: 3, reads: 4}\n"
    )
    usage = load_usage(str(tmp_path / "mine.yml"))
    assert (usage.name, usage.of("aws_s3_bucket", "x")) == (
        "mine",
        {"reads": 4 + 3 * 5, "writes": 2},
    )


def test_every_price_has_a_source_and_every_source_a_price() -> None:
    prices = load_prices()
    assert prices.region == "us-east-1"
    assert all(address.startswith("https://aws.amazon.com/") for address in prices.sources.values())
    assert {price.source for price in prices.prices.values()} == set(prices.sources)
    assert not prices.free & set(CHARGES)
