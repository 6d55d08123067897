"""Tests that quotas are compared with the resources that an environment needs."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from environments import load_environment
from ops.cloud import Cloud
from ops.doctor.quotas import (
    QUOTAS,
    check_api_rates,
    check_concurrency,
    check_granted,
    check_quota,
)
from ops.doctor.result import Result
from tests.ops.clouds import FakeCloud, store_state, stubbed_client

QUOTAS_BY_NAME = {quota.name: quota for quota in QUOTAS}


def check(cloud: Cloud, name: str, **clients: Any) -> Result:
    [result] = check_quota(FakeCloud(cloud.environment, {}, clients=clients), QUOTAS_BY_NAME[name])
    return result


def create_vpcs(count: int, environment: str) -> None:
    ec2 = boto3.client("ec2", region_name="us-east-1")
    for index in range(count):
        tags = [{"Key": "Environment", "Value": environment}]
        ec2.create_vpc(
            CidrBlock=f"10.{index}.0.0/16",
            TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}],
        )


def test_vpcs_outside_the_environment_count_towards_the_quota(cloud: Cloud) -> None:
    create_vpcs(3, "other")  # The default VPC is the fourth.
    result = check(cloud, "VPCs")
    assert (result.status, result.detail) == ("ok", "dev needs 1, others use 4, the quota is 5")
    create_vpcs(1, "other")
    result = check(cloud, "VPCs")
    assert result.status == "failure"
    assert "request at least 6 in Service Quotas (vpc, L-F678F1CE)" in result.remedy


def test_existing_resources_of_the_environment_are_not_counted_twice(cloud: Cloud) -> None:
    create_vpcs(3, "other")
    create_vpcs(1, "dev")
    assert check(cloud, "VPCs").status == "ok"


def test_an_unreadable_quota_is_assumed_to_be_the_default_and_causes_a_warning(
    cloud: Cloud,
) -> None:
    # Moto returns quotas for VPCs, but not for Elastic IP addresses.
    ec2 = boto3.client("ec2", region_name="us-east-1")
    result = check(cloud, "Elastic IP addresses")
    assert (result.status, "AWS's default" in result.detail) == ("ok", True)
    for _ in range(5):
        ec2.allocate_address(Domain="vpc")
    result = check(cloud, "Elastic IP addresses")
    assert (result.status, "L-0263D0A3" in result.remedy) == ("warning", True)


def test_environment_without_nat_gateways_needs_no_addresses(aws: None) -> None:
    local = Cloud(load_environment("local", variables={}), {})
    assert check(local, "Elastic IP addresses").detail == "none needed"


def quota(value: float) -> Any:
    return stubbed_client("service-quotas", ("get_service_quota", {"Quota": {"Value": value}}))


@pytest.mark.parametrize(("value", "status"), [(3, "ok"), (2, "failure")])
def test_other_distributions_count_towards_the_quota(
    cloud: Cloud, value: float, status: str
) -> None:
    cloudfront = boto3.client("cloudfront", region_name="us-east-1")
    for comment in ("platform-site-dev", "platform-media-dev", "another"):
        cloudfront.create_distribution(DistributionConfig=distribution(comment))
    assert check(cloud, "CloudFront distributions", **{"service-quotas": quota(value)}).status == (
        status
    )


def distribution(comment: str) -> Any:
    origin = {
        "Id": "s3",
        "DomainName": "bucket.s3.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    return {
        "CallerReference": comment,
        "Comment": comment,
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {
            "TargetOriginId": "s3",
            "ViewerProtocolPolicy": "redirect-to-https",
        },
    }


@pytest.mark.parametrize(("value", "status"), [(3, "ok"), (2, "failure")])
def test_other_domain_names_count_towards_the_quota(
    cloud: Cloud, value: float, status: str
) -> None:
    assert cloud.environment.domains
    items = [{"domainName": name} for name in (cloud.environment.domains.api, "other.example.com")]
    gateway = stubbed_client("apigateway", ("get_domain_names", {"items": items}))
    clients = {"apigateway": gateway, "service-quotas": quota(value)}
    assert check(cloud, "domain names of API Gateway", **clients).status == status


@pytest.mark.parametrize(("others", "status"), [(119, "ok"), (120, "failure")])
def test_edge_optimized_apis_are_compared_with_a_fixed_quota(
    cloud: Cloud, others: int, status: str
) -> None:
    edge = {"types": ["EDGE"]}
    items = [
        {"name": "regional", "endpointConfiguration": {"types": ["REGIONAL"]}},
        {"name": "platform-api-dev", "endpointConfiguration": edge},
        *({"name": f"other-{index}", "endpointConfiguration": edge} for index in range(others)),
    ]
    gateway = stubbed_client("apigateway", ("get_rest_apis", {"items": items}))
    result = check(cloud, "edge-optimized APIs", apigateway=gateway)
    assert (result.status, "the quota is fixed" in result.remedy) == (status, status == "failure")


def concurrency(cloud: Cloud, limit: int, unreserved: int) -> Result:
    account = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": unreserved}
    client = stubbed_client("lambda", ("get_account_settings", {"AccountLimit": account}))
    [result] = check_concurrency(FakeCloud(cloud.environment, {}, clients={"lambda": client}))
    return result


def test_reservations_of_other_functions_reduce_the_available_concurrency(cloud: Cloud) -> None:
    assert concurrency(cloud, 1000, 1000).status == "ok"
    result = concurrency(cloud, 1000, 120)
    assert (result.status, "880 by others" in result.detail) == ("failure", True)
    assert "Service Quotas, Lambda" in result.remedy
    assert concurrency(cloud, 10, 10).status == "failure"


def test_own_reservations_of_a_deployed_environment_are_not_counted_twice(cloud: Cloud) -> None:
    reserved = int(concurrency(cloud, 1000, 1000).detail.split()[0])
    limit = reserved + 100
    assert concurrency(cloud, limit, 100).status == "failure"
    store_state(cloud, {"api_url": "https://example.com"})
    assert concurrency(cloud, limit, 100).status == "ok"


@pytest.mark.parametrize(
    ("throttle", "connections", "expected"),
    [
        ({"rateLimit": 10000.0, "burstLimit": 5000}, 500, ["ok", "ok"]),
        ({"rateLimit": 1.0, "burstLimit": 1}, 1, ["warning", "warning"]),
        (None, 500, ["warning", "ok"]),
    ],
)
def test_api_gateway_quotas_below_the_rates_of_the_environment_cause_a_warning(
    cloud: Cloud, throttle: dict[str, Any] | None, connections: float, expected: list[str]
) -> None:
    account = {"throttleSettings": throttle} if throttle else {}
    clients = {
        "apigateway": stubbed_client("apigateway", ("get_account", account)),
        "service-quotas": quota(connections),
    }
    results = check_api_rates(FakeCloud(cloud.environment, {}, clients=clients))
    assert [result.status for result in results] == expected


@pytest.mark.parametrize(("value", "status"), [(20_000, "ok"), (19_000, "failure")])
def test_granted_quotas_are_compared_with_the_account(
    cloud: Cloud, value: float, status: str
) -> None:
    quotas = {"lambda.concurrency": 20_000.0, "cognito.UserRead": 500.0}
    environment = cloud.environment.model_copy(update={"quotas": quotas})
    clients = {"service-quotas": quota(value)}
    compared, unknown = check_granted(FakeCloud(environment, {}, clients=clients))
    assert compared.status == status
    # The built-in list of quotas has no Service Quotas code for cognito.UserRead.
    assert (unknown.status, "cognito.UserRead" in unknown.detail) == ("warning", True)


def test_an_environment_without_granted_quotas_passes(cloud: Cloud) -> None:
    [result] = check_granted(cloud)
    assert result.status == "ok"
