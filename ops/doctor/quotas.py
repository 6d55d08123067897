"""Compares the account's quotas with the needs of the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from botocore.exceptions import ClientError

from environments import Environment, FunctionName
from environments.resource_names import GLOBAL_REGION, resource_name
from ops.capacity.quotas import load_quotas
from ops.cloud import Cloud
from ops.doctor.result import Result, failure, ok, warning
from ops.terraform.state import outputs_or_none

UNRESERVED_MINIMUM = 100
"""Concurrent executions that AWS always keeps unreserved in an account (Lambda quotas)."""
DISTRIBUTIONS = 2
"""CloudFront distributions of an environment: one for the site, one for images."""


@dataclass(frozen=True)
class Usage:
    """The resources of an account that count against a quota."""

    total: int
    own: int = 0
    """The number of counted resources that belong to the environment."""


@dataclass(frozen=True)
class Quota:
    """An AWS quota on a number of resources, and how to compute what an environment needs."""

    name: str
    source: str
    """The page of AWS's documentation that states the default."""
    default: int
    """AWS's default on 2026-11-29. Used if Service Quotas does not return the account's quota."""
    service: str
    """The code of the service in Service Quotas."""
    code: str | None
    """The code of the quota. None if the quota is fixed and not in Service Quotas."""
    needed: Callable[[Environment], int]
    usage: Callable[[Cloud], Usage]
    region: str | None = None
    """The region of the quota. None for the environment's region."""


def _tagged(items: list[Any], cloud: Cloud) -> Usage:
    tag = {"Key": "Environment", "Value": cloud.environment.name}
    return Usage(len(items), sum(tag in item.get("Tags", []) for item in items))


def _addresses(cloud: Cloud) -> Usage:
    return _tagged(cloud.client("ec2").describe_addresses()["Addresses"], cloud)


def _vpcs(cloud: Cloud) -> Usage:
    pages = cloud.client("ec2").get_paginator("describe_vpcs").paginate()
    return _tagged([vpc for page in pages for vpc in page["Vpcs"]], cloud)


def _distributions(cloud: Cloud) -> Usage:
    pages = cloud.client("cloudfront").get_paginator("list_distributions").paginate()
    items = [item for page in pages for item in page["DistributionList"].get("Items", [])]
    own = {resource_name("platform", kind, cloud.environment.name) for kind in ("site", "media")}
    return Usage(len(items), sum(item["Comment"] in own for item in items))


def _domain_names(cloud: Cloud) -> Usage:
    pages = cloud.client("apigateway").get_paginator("get_domain_names").paginate()
    names = [item["domainName"] for page in pages for item in page["items"]]
    domains = cloud.environment.domains
    own = {domains.api, domains.websocket} if domains else set()
    return Usage(len(names), sum(name in own for name in names))


def _rest_apis(cloud: Cloud) -> Usage:
    pages = cloud.client("apigateway").get_paginator("get_rest_apis").paginate()
    apis = [
        item
        for page in pages
        for item in page["items"]
        if "EDGE" in item.get("endpointConfiguration", {}).get("types", [])
    ]
    own = resource_name("platform", "api", cloud.environment.name)
    return Usage(len(apis), sum(api["name"] == own for api in apis))


QUOTAS = (
    Quota(
        "Elastic IP addresses",
        "https://docs.aws.amazon.com/general/latest/gr/ec2-service.html",
        default=5,
        service="ec2",
        code="L-0263D0A3",
        needed=lambda environment: environment.network.nat_gateways,
        usage=_addresses,
    ),
    Quota(
        "VPCs",
        "https://docs.aws.amazon.com/general/latest/gr/vpc-service.html",
        default=5,
        service="vpc",
        code="L-F678F1CE",
        needed=lambda _: 1,
        usage=_vpcs,
    ),
    Quota(
        "CloudFront distributions",
        "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html",
        default=500,
        service="cloudfront",
        code="L-24B04930",
        needed=lambda _: DISTRIBUTIONS,
        usage=_distributions,
        region=GLOBAL_REGION,
    ),
    Quota(
        "domain names of API Gateway",
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
        "api-gateway-execution-service-limits-table.html",
        default=120,
        service="apigateway",
        code="L-A93447B8",
        needed=lambda environment: 2 if environment.domains else 0,
        usage=_domain_names,
    ),
    Quota(
        "edge-optimized APIs",
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
        "api-gateway-execution-service-limits-table.html",
        default=120,
        service="apigateway",
        code=None,
        needed=lambda _: 1,
        usage=_rest_apis,
    ),
)


def check_quota(cloud: Cloud, quota: Quota) -> Iterator[Result]:
    """Checks that the quota allows the environment's resources in addition to existing ones."""
    environment = cloud.environment
    needed = quota.needed(environment)
    if not needed:
        yield ok("none needed")
        return
    usage = quota.usage(cloud)
    limit = _limit(cloud, quota)
    value, assumed = limit, ""
    if value is None:
        value = quota.default
        assumed = ", AWS's default, because the account's quota cannot be read"
    others = usage.total - usage.own
    detail = (
        f"{environment.name} needs {needed}, others use {others}, the quota is {value:g}{assumed}"
    )
    if others + needed <= value:
        yield ok(detail)
    elif limit is None and quota.code:
        yield warning(detail, f"compare with the account's quota {quota.code} in Service Quotas")
    else:
        yield failure(
            detail,
            f"request at least {others + needed} in Service Quotas ({quota.service}, {quota.code})"
            if quota.code
            else f"delete unused ones, or use another account: the quota is fixed ({quota.source})",
        )


def _limit(cloud: Cloud, quota: Quota) -> float | None:
    """Returns the account's quota, or None if Service Quotas does not return it."""
    if quota.code is None:
        return float(quota.default)
    return _service_quota(cloud, quota.service, quota.code, quota.region)


def _service_quota(
    cloud: Cloud, service: str, code: str, region: str | None = None
) -> float | None:
    try:
        response = cloud.client("service-quotas", region).get_service_quota(
            ServiceCode=service, QuotaCode=code
        )
    except ClientError:  # access is denied, or the account has AWS's default quota
        return None
    return float(response["Quota"]["Value"])


def check_concurrency(cloud: Cloud) -> Iterator[Result]:
    """Checks that the account's concurrency limit allows the reserved concurrency of all functions.

    Provisioned concurrency needs no check: it is part of a function's reserved concurrency.
    """
    environment = cloud.environment
    account = cloud.client("lambda").get_account_settings()["AccountLimit"]
    limit = account["ConcurrentExecutions"]
    reserved = sum(
        environment.reserved_concurrency(function) or 0 for function in get_args(FunctionName)
    )
    others = limit - account.get("UnreservedConcurrentExecutions", limit)
    if outputs_or_none(cloud) is not None:
        others = max(0, others - reserved)
    needed = reserved + others + UNRESERVED_MINIMUM
    detail = (
        f"{reserved} reserved by {environment.name}, {others} by others, {UNRESERVED_MINIMUM}"
        f" always unreserved, limit {limit}"
    )
    if needed <= limit:
        yield ok(detail)
    else:
        yield failure(detail, f"request {needed} (Service Quotas, Lambda, Concurrent executions)")


def check_api_rates(cloud: Cloud) -> Iterator[Result]:
    """Checks that the account's API Gateway quotas cover the environment's request rates.

    If Service Quotas does not return the quota of new WebSocket connections, uses AWS's default
    from ops/capacity/quotas.yml.
    """
    defaults = load_quotas().quotas
    requests, connections = defaults["apigateway.requests"], defaults["apigateway.connections"]
    wanted = cloud.environment.request_rate
    limits = cloud.client("apigateway").get_account().get("throttleSettings", {})
    rate = limits.get("rateLimit")
    remedy = "request a higher {} in Service Quotas (apigateway, {})"
    if rate is None:
        yield warning(
            "not checked, because API Gateway does not report the account's request rate",
            f"check in Service Quotas (apigateway, {requests.code}) that it is at least {wanted}",
        )
    elif rate < wanted:
        yield warning(
            f"the quota is {rate:g} requests/s for all APIs of the account, but each route allows"
            f" {wanted}",
            remedy.format("throttle rate", requests.code),
        )
    else:
        yield ok(f"the quota is {rate:g} requests/s, each route allows {wanted}")
    assert connections.code
    value = _service_quota(cloud, "apigateway", connections.code) or connections.value
    connecting = cloud.environment.lambdas.reserved_concurrency
    if value < connecting:
        yield warning(
            f"the quota is {value:g} new WebSocket connections/s, which is less than"
            f" lambdas.reserved_concurrency ({connecting})",
            remedy.format("rate of new connections", connections.code),
        )
    else:
        yield ok(f"the quota is {value:g} new WebSocket connections/s")


def check_granted(cloud: Cloud) -> Iterator[Result]:
    """Checks that the account has at least the quotas in `quotas` of the environment file."""
    granted = cloud.environment.quotas
    if not granted:
        yield ok("the environment file states no granted quotas")
        return
    known = load_quotas().with_granted(granted).quotas
    unreadable = []
    for name, value in granted.items():
        code = known[name].code
        actual = _service_quota(cloud, name.partition(".")[0], code) if code else None
        if actual is None:
            unreadable.append(name)
        elif actual < value:
            yield failure(
                f"{name} is {actual:g} in the account, but {value:g} in the environment file",
                f"request {value:g} in Service Quotas ({code}), or correct quotas.{name}",
            )
        else:
            yield ok(f"{name} is {actual:g}")
    if unreadable:
        yield warning(
            f"the account's quotas cannot be read: {', '.join(unreadable)}",
            "compare them with the account's quotas in the AWS console",
        )
