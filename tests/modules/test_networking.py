from __future__ import annotations

import re

import pytest

from environments.model import Network, Rds
from modules.networking import Networking
from tests.modules.synthesis import Synthesized, environment, synthesize


def _networking(name: str) -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Networking(stack, "n", names=names),
        environment(name),
    )


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return _networking("dev")


@pytest.fixture(scope="module")
def prod() -> Synthesized:
    return _networking("prod")


def test_the_vpc_has_the_documented_range_and_dns_settings(dev: Synthesized) -> None:
    vpc = dev.find_only("aws_vpc")
    assert vpc["cidr_block"] == "10.0.0.0/16"
    assert vpc["enable_dns_hostnames"] is True
    assert vpc["enable_dns_support"] is True


def test_the_environment_sets_the_number_of_zones_and_nat_gateways(
    dev: Synthesized, prod: Synthesized
) -> None:
    assert len(dev.all("aws_nat_gateway")) == 1
    assert len(prod.all("aws_nat_gateway")) == 3
    private = [item for item in prod.all("aws_subnet") if "private" in item["tags"]["Name"]]
    # The letter in an availability zone's name can mean a different zone in each account. A zone's
    # id means the same zone in all accounts.
    assert [item["availability_zone_id"] for item in private] == [
        "use1-az1",
        "use1-az2",
        "use1-az4",
    ]
    assert not any("availability_zone" in item for item in prod.all("aws_subnet"))
    assert not any(item["map_public_ip_on_launch"] for item in prod.all("aws_subnet"))


def test_every_private_subnet_reaches_a_nat_gateway(dev: Synthesized) -> None:
    routes = [item for item in dev.all("aws_route") if item.get("nat_gateway_id")]
    assert len(routes) == len(dev.all("aws_route_table")) - 1 == 2


def test_gateway_endpoints_serve_s3_and_dynamodb(dev: Synthesized) -> None:
    gateways = {
        item["service_name"]
        for item in dev.all("aws_vpc_endpoint")
        if item["vpc_endpoint_type"] == "Gateway"
    }
    assert gateways == {"com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.dynamodb"}


def test_interface_endpoints_accept_https_only_from_the_vpc(prod: Synthesized) -> None:
    endpoints = [
        item for item in prod.all("aws_vpc_endpoint") if item["vpc_endpoint_type"] == "Interface"
    ]
    assert {item["service_name"].rsplit(".", 1)[1] for item in endpoints} == {
        "secretsmanager",
        "ssm",
        "events",
    }
    rule = prod.find_only("aws_vpc_security_group_ingress_rule", from_port=443)
    assert rule["cidr_ipv4"] == "10.0.0.0/16"


def test_database_and_cache_accept_connections_only_from_their_clients(dev: Synthesized) -> None:
    rules = dev.document["resource"]["aws_vpc_security_group_ingress_rule"].values()
    clients = {
        (
            item["from_port"],
            item["to_port"],
            item["description"].removeprefix("From the ").removesuffix(" function"),
        )
        for item in rules
    }
    assert clients == {
        (5432, 5432, "catalog"),
        (5432, 5432, "migration"),
        (5432, 5432, "health"),
        (6379, 6379, "chat"),
        (6379, 6379, "delivery"),
        (6379, 6379, "health"),
    }
    assert not any("cidr_ipv4" in item for item in rules)


def test_the_default_security_group_allows_nothing(dev: Synthesized) -> None:
    group = dev.find_only("aws_default_security_group")
    assert not group.get("ingress")
    assert not group.get("egress")


def test_flow_logs_have_the_environments_log_retention(prod: Synthesized) -> None:
    assert prod.find_only("aws_flow_log")["traffic_type"] == "ALL"
    assert prod.find_only("aws_cloudwatch_log_group")["retention_in_days"] == 365


def test_the_flow_log_role_has_the_permissions_from_the_aws_documentation(
    prod: Synthesized,
) -> None:
    write, find = prod.policy("aws_iam_role_policy")
    assert {*write["Action"], find["Action"]} == {
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "logs:DescribeLogGroups",
        "logs:DescribeLogStreams",
    }
    assert "*" not in write["Resource"]


@pytest.mark.parametrize("function", ["health", "migration"])
def test_health_and_migration_can_connect_only_to_endpoints_and_data_stores(
    prod: Synthesized, function: str
) -> None:
    group = next(
        label
        for label, item in prod.document["resource"]["aws_security_group"].items()
        if item["name"] == f"{function}-security-group-prod"
    )
    rules = [
        item
        for item in prod.all("aws_vpc_security_group_egress_rule")
        if item["security_group_id"] == f"${{aws_security_group.{group}.id}}"
    ]
    ports = {"health": [443, 5432, 6379], "migration": [443, 443, 5432]}
    assert sorted(item["from_port"] for item in rules) == ports[function]
    assert not [item for item in rules if "cidr_ipv4" in item]
    assert {item["ip_protocol"] for item in rules} == {"tcp"}


@pytest.fixture(scope="module")
def ipv6() -> Synthesized:
    network = Network(nat_gateways=0, ipv6_egress=True, interface_endpoints=["ssm"])
    rds = Rds(min_capacity=0, max_capacity=1)
    return synthesize(
        lambda stack, _env, names: Networking(stack, "n", names=names),
        environment("dev", network=network, rds=rds),
    )


def test_ipv6_traffic_leaves_through_an_egress_only_gateway(ipv6: Synthesized) -> None:
    assert ipv6.find_only("aws_vpc")["assign_generated_ipv6_cidr_block"] is True
    blocks = [item["ipv6_cidr_block"] for item in ipv6.all("aws_subnet")]
    assert len(set(blocks)) == 2
    assert all("cidrsubnet(aws_vpc." in block for block in blocks)
    gateway = ipv6.find_only("aws_egress_only_internet_gateway")
    assert gateway["vpc_id"].startswith("${aws_vpc.")
    assert not ipv6.types & {"aws_nat_gateway", "aws_internet_gateway", "aws_eip"}
    assert [item["destination_ipv6_cidr_block"] for item in ipv6.all("aws_route")] == ["::/0"] * 2


def test_ipv6_allows_only_https(ipv6: Synthesized) -> None:
    rules = [
        item for item in ipv6.all("aws_vpc_security_group_egress_rule") if item.get("cidr_ipv6")
    ]
    assert {(item["cidr_ipv6"], item["from_port"], item["to_port"]) for item in rules} == {
        ("::/0", 443, 443)
    }
    groups = {item["security_group_id"].partition(".")[2] for item in rules}
    assert {re.split(r"[_-]", group)[1] for group in groups} == {
        "catalog",
        "chat",
        "delivery",
        "migration",
    }


def test_the_health_function_cannot_resume_a_paused_database(
    ipv6: Synthesized, dev: Synthesized
) -> None:
    def clients(stack: Synthesized) -> set[str]:
        return {
            item["description"]
            for item in stack.all("aws_vpc_security_group_ingress_rule")
            if item["from_port"] == 5432
        }

    assert clients(dev) - clients(ipv6) == {"From the health function"}
