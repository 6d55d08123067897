"""Charges of Route 53, CloudFront and WAF."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, charged
from ops.cost.things import Thing


@charged("aws_cloudfront_distribution", "out_gb", "requests")
def distribution(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - usage only
    """Yields data transfer and requests at the prices of North America and Europe."""
    yield Line("cloudfront.transfer", month.used["out_gb"])
    yield Line("cloudfront.requests", month.used["requests"])


@charged("aws_cloudfront_function", "invocations")
def viewer_function(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields invocations."""
    yield Line("cloudfront.functions", month.used["invocations"])


@charged("aws_route53_record", "queries")
def record(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields queries. Queries of alias records are free."""
    if not thing.values_at("alias"):
        yield Line("route53.queries", month.used["queries"])


@charged("aws_wafv2_web_acl", "requests")
def firewall(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields the web ACL, its rules and rule groups, and the inspected requests."""
    yield Line("waf.acl", 1, fixed=True)
    yield Line("waf.rule", len(thing.values_at("rule")), fixed=True)
    yield Line("waf.requests", month.used["requests"])
