"""What both APIs share: throttling, access logs and the permission to invoke functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from constructs import Construct

from environments import Environment
from modules.base.function import LambdaFunction
from modules.base.naming import service_tag

REQUESTS_PER_CONCURRENCY = 10
"""Requests per second that one unit of Lambda concurrency serves, at about 100 ms per request.

The API therefore returns 429 with Retry-After before Lambda throttles and causes a 5xx. A service
with a lower cap (auth) has an alarm on throttles.
"""

BURST_SECONDS = 2
"""Seconds of requests that a burst may contain, for example after many clients reconnect."""


@dataclass(frozen=True)
class Throttle:
    """The limit of each route of a stage, enforced by API Gateway's token bucket."""

    rate: int
    """Requests per second."""
    burst: int
    """The bucket's size in requests."""


def throttle(environment: Environment) -> Throttle:
    """Derives the limit from the environment's Lambda concurrency."""
    rate = environment.lambdas.reserved_concurrency * REQUESTS_PER_CONCURRENCY
    return Throttle(rate, rate * BURST_SECONDS)


class AccessLog(Construct):
    """A log group with one line of JSON per request.

    Args:
        environment: Sets the retention.
        name: The API's name.
        fields: The keys of a line, with the names of API Gateway's `$context` variables.

    Attributes:
        arn: The ARN of the log group.
        format: The format of a line, for the stage.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        environment: Environment,
        name: str,
        fields: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id_)
        self.arn: str = CloudwatchLogGroup(
            self,
            "group",
            name=f"/aws/apigateway/{name}",
            retention_in_days=environment.monitoring.log_retention_days,
            tags=service_tag("platform"),
        ).arn
        self.format = json.dumps({key: f"$context.{variable}" for key, variable in fields.items()})


def allow_invocation(
    scope: Construct, id_: str, *, function: LambdaFunction, source_arn: str
) -> None:
    """Lets API Gateway invoke a function's live version.

    Args:
        source_arn: The API's stage, method and path, or its authorizer.
    """
    permission = LambdaPermission(
        scope,
        id_,
        action="lambda:InvokeFunction",
        principal="apigateway.amazonaws.com",
        function_name=function.function.function_name,
        qualifier=function.alias.name,
        source_arn=source_arn,
        # Sequential: all permissions share one policy, and concurrent writes can be lost.
        depends_on=function.invokers[-1:] or None,
    )
    function.invokers.append(permission)
