"""Throttling, logging and invocation permissions of the REST and the WebSocket API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from constructs import Construct

from environments import Environment
from environments.resource_names import access_log_group
from modules.base.function import LambdaFunction
from modules.base.log_group import LogGroup

BURST_SECONDS = 2
"""Seconds. The token bucket holds as many tokens as the rate adds in this time. This allows bursts,
for example when many clients reconnect."""


@dataclass(frozen=True)
class Throttle:
    """The request limit of each route of a stage, which API Gateway's token bucket enforces."""

    rate: int
    """Requests per second."""
    burst: int
    """The bucket's size in requests."""


def create_throttle(environment: Environment) -> Throttle:
    """Returns the limit that the environment's Lambda concurrency can handle."""
    rate = environment.request_rate
    return Throttle(rate, rate * BURST_SECONDS)


@dataclass(frozen=True)
class StageLogging:
    """The logging settings of an API's stage."""

    level: str
    """The level of the execution log."""
    arguments: Mapping[str, Any]
    """The arguments of the stage's resource that configure the access log."""


def log_stage(
    scope: Construct,
    *,
    environment: Environment,
    api: str,
    fields: Mapping[str, str],
    execution_log: str,
    service: str,
) -> StageLogging:
    """Creates the log groups of a stage and returns the stage's logging settings.

    The access log has one line of JSON per request. If the environment lacks the capability
    `api_gateway_account`, there are no log groups, and the settings turn logging off.

    Args:
        scope: The construct of the API.
        environment: The environment, which sets the retention period of the logs.
        api: `api` for the REST API, or `websocket`.
        fields: The `$context` variable for each key of an access log line.
        execution_log: The name that API Gateway requires for the execution log. The stage depends
            on this log group: API Gateway would create a missing group without a retention period.
        service: The value of the execution log's Service tag.
    """
    if not environment.capabilities.api_gateway_account:
        return StageLogging("OFF", {})
    access = LogGroup(
        Construct(scope, "access-log"),
        "group",
        environment=environment,
        name=access_log_group(api, environment.name),
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
        source_arn: The ARN of the stage, method and path, or of the authorizer, that may invoke
            the function.
    """
    permission = LambdaPermission(
        scope,
        id_,
        action="lambda:InvokeFunction",
        principal="apigateway.amazonaws.com",
        function_name=function.function.function_name,
        qualifier=function.alias.name,
        source_arn=source_arn,
        # All permissions of a function share one policy, and concurrent writes to the policy could
        # be lost. Terraform therefore creates the permissions one after the other.
        depends_on=function.invoke_permissions[-1:] or None,
    )
    function.invoke_permissions.append(permission)
