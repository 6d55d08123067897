"""Throttling, logging and the permission to invoke functions, for both APIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from constructs import Construct

from environments import Environment
from modules.base.function import LambdaFunction
from modules.base.log_group import LogGroup

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
    rate = environment.request_rate
    return Throttle(rate, rate * BURST_SECONDS)


@dataclass(frozen=True)
class StageLogging:
    """The logging of a stage."""

    level: str
    """The level of the execution log."""
    arguments: Mapping[str, Any]
    """The arguments of the stage."""


def log_stage(
    scope: Construct,
    *,
    environment: Environment,
    name: str,
    fields: Mapping[str, str],
    execution_log: str,
    service: str,
) -> StageLogging:
    """Creates the log groups of a stage, unless the account cannot log.

    The access log has one line of JSON per request.

    Args:
        scope: The API.
        environment: Sets the retention.
        name: The API's name.
        fields: The keys of an access log line, with the names of `$context` variables.
        execution_log: The name that API Gateway requires. It creates a missing group itself,
            without a retention period, so the stage depends on this one.
        service: The value of the execution log's Service tag.
    """
    if not environment.capabilities.api_gateway_account:
        return StageLogging("OFF", {})
    access = LogGroup(
        Construct(scope, "access-log"),
        "group",
        environment=environment,
        name=f"/aws/apigateway/{name}",
        service="platform",
    )
    execution = LogGroup(
        scope, "execution-log", environment=environment, name=execution_log, service=service
    )
    line = json.dumps({key: f"$context.{variable}" for key, variable in fields.items()})
    settings = {"destination_arn": access.arn, "format": line}
    return StageLogging("ERROR", {"access_log_settings": settings, "depends_on": [execution]})


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
        depends_on=function.invoke_permissions[-1:] or None,
    )
    function.invoke_permissions.append(permission)
