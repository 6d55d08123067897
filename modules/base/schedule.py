"""A schedule that invokes a function, with alerts for failed runs."""

from __future__ import annotations

from cdktf_cdktf_provider_aws.cloudwatch_event_rule import CloudwatchEventRule
from cdktf_cdktf_provider_aws.cloudwatch_event_target import CloudwatchEventTarget
from cdktf_cdktf_provider_aws.lambda_function_event_invoke_config import (
    LambdaFunctionEventInvokeConfig,
    LambdaFunctionEventInvokeConfigDestinationConfig,
    LambdaFunctionEventInvokeConfigDestinationConfigOnFailure,
)
from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from constructs import Construct

from modules.base.access import Access
from modules.base.function import FunctionPlatform, LambdaFunction
from modules.base.naming import service_tag
from modules.base.policy import Statement, key_statement

MAX_WAIT = 21_600
"""Seconds that a run may wait to start.

This is Lambda's default. Without the explicit value, plans would show a difference.
"""

ALERT_SID = "Alert"
"""The Sid of the permission that `failure_alerts` adds."""


class Schedule(Construct):
    """Invokes a function's live version regularly.

    A failed run is reported to the alerts topic and not retried, since the next run follows soon.

    Args:
        platform: The settings and resources that all functions share.
        function: The function to invoke. Its `access` must contain `failure_alerts`.
        resource: The middle part of the rule's name `{function}-{resource}-{environment}`.
        description: The schedule's purpose.
        expression: The times, as an EventBridge schedule expression.
        enabled: Whether the schedule is active.

    Raises:
        ValueError: The function has no permission to report a failed run.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: FunctionPlatform,
        function: LambdaFunction,
        resource: str,
        description: str,
        expression: str,
        enabled: bool = True,
    ) -> None:
        super().__init__(scope, id_)
        if ALERT_SID not in function.sids:
            raise ValueError(
                f"{function.name} cannot report failed runs: add failure_alerts(...) to its access"
            )
        name, alias = function.function.function_name, function.alias
        LambdaFunctionEventInvokeConfig(
            self,
            "failures",
            function_name=name,
            qualifier=alias.name,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=MAX_WAIT,
            destination_config=LambdaFunctionEventInvokeConfigDestinationConfig(
                on_failure=LambdaFunctionEventInvokeConfigDestinationConfigOnFailure(
                    destination=platform.alerts_topic_arn
                )
            ),
        )
        rule = CloudwatchEventRule(
            self,
            "rule",
            name=platform.names.of(function.service, resource),
            description=description,
            schedule_expression=expression,
            state="ENABLED" if enabled else "DISABLED",
            tags=service_tag(function.service),
        )
        permission = LambdaPermission(
            self,
            "permission",
            statement_id=resource,
            action="lambda:InvokeFunction",
            function_name=name,
            qualifier=alias.name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            # All permissions of a function share one policy, and concurrent writes to the policy
            # could be lost. Terraform therefore creates the permissions one after the other.
            depends_on=function.invoke_permissions[-1:] or None,
        )
        function.invoke_permissions.append(permission)
        CloudwatchEventTarget(
            self,
            "target",
            rule=rule.name,
            arn=alias.arn,
            target_id=function.service,
            depends_on=[permission],
        )


def failure_alerts(platform: FunctionPlatform, kms_key_arn: str) -> Access:
    """Allows reporting a failed run to the alerts topic, which the KMS key encrypts."""
    topic, region = platform.alerts_topic_arn, platform.environment.region
    return Access(
        statements=[
            Statement(sid=ALERT_SID, actions=["sns:Publish"], resources=[topic]),
            key_statement("EncryptAlert", kms_key_arn, service="sns", region=region),
        ]
    )
