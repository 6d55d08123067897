"""What the REST and the WebSocket API have in common: how much they let in, what they log, and how they invoke functions."""

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
"""Requests a second that one unit of Lambda concurrency serves: a call takes about 100 ms. What exceeds the environment's
concurrency is so answered 429 with Retry-After by the API, before Lambda throttles it into a 5xx; a service whose own cap is lower
(auth's) has its throttles alarm."""

BURST_SECONDS = 2
"""A burst may be this many seconds' worth of requests: a page that loads, a reconnecting crowd."""


@dataclass(frozen=True)
class Throttle:
    """The limit of each route of a stage, as API Gateway's token bucket has it."""

    rate: int
    """Requests a second."""
    burst: int
    """Requests at once."""


def throttle(environment: Environment) -> Throttle:
    """The limit that follows from the environment's Lambda concurrency."""
    rate = environment.lambdas.reserved_concurrency * REQUESTS_PER_CONCURRENCY
    return Throttle(rate, rate * BURST_SECONDS)


class AccessLog(Construct):
    """A log group for one line of JSON per request.

    Args:
        environment: says how long it is kept.
        name: the API's name.
        fields: what a line has, by key; values are API Gateway's `$context` variables.

    Attributes:
        arn: of the log group.
        format: the line, as stages want it.
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
    """Lets API Gateway invoke a function's live version from one place.

    Args:
        source_arn: the API's stage, method and path, or its authorizer.
    """
    permission = LambdaPermission(
        scope,
        id_,
        action="lambda:InvokeFunction",
        principal="apigateway.amazonaws.com",
        function_name=function.function.function_name,
        qualifier=function.alias.name,
        source_arn=source_arn,
        # One after another: all are written into one policy, and two writers at once may lose one of theirs.
        depends_on=function.invokers[-1:] or None,
    )
    function.invokers.append(permission)
