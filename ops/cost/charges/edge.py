"""Defines the charges of Route 53, CloudFront and WAF."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, charge_usage, charged
from ops.cost.resources import BillableResource


@charged("aws_route53_record", "queries")
def record(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charge for queries. Queries of alias records are free."""
    if not resource.values_at("alias"):
        yield Line("route53.queries", month.used["queries"])


@charged("aws_wafv2_web_acl", "requests")
def firewall(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for the web ACL, its rules and rule groups, and inspected requests."""
    yield Line("waf.acl", 1, fixed=True)
    yield Line("waf.rule", len(resource.values_at("rule")), fixed=True)
    yield Line("waf.requests", month.used["requests"])


# CloudFront prices differ by region. These are for North America and Europe.
charge_usage(
    "aws_cloudfront_distribution", out_gb="cloudfront.transfer", requests="cloudfront.requests"
)
charge_usage("aws_cloudfront_function", invocations="cloudfront.functions")
