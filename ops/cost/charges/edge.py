"""Names, distributions and the firewall."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, charged
from ops.cost.things import Thing


@charged("aws_cloudfront_distribution", "out_gb", "requests")
def distribution(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - priced as if all visitors were in North America
    """What is delivered, at the prices of North America and Europe."""
    yield Line("cloudfront.transfer", month.used["out_gb"])
    yield Line("cloudfront.requests", month.used["requests"])


@charged("aws_cloudfront_function", "invocations")
def viewer_function(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - every function costs the same
    """Its invocations."""
    yield Line("cloudfront.functions", month.used["invocations"])


@charged("aws_route53_record", "queries")
def record(thing: Thing, month: Month) -> Iterator[Line]:
    """Queries; those for an alias of an AWS resource cost nothing."""
    if not thing.values_at("alias"):
        yield Line("route53.queries", month.used["queries"])


@charged("aws_wafv2_web_acl", "requests")
def firewall(thing: Thing, month: Month) -> Iterator[Line]:
    """The ACL, its rules and rule groups, and the requests it looks at."""
    yield Line("waf.acl", 1, fixed=True)
    yield Line("waf.rule", len(thing.values_at("rule")), fixed=True)
    yield Line("waf.requests", month.used["requests"])
