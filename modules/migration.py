"""Database migrations: the function and its schedule."""

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

from modules.base.connections import DatabaseConnection
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.naming import service_tag
from modules.base.policy import Statement
from modules.base.statements import table_access
from modules.base.table import Table

SCHEDULE = "rate(1 day)"
"""How often pending migrations are looked for; documented."""

MAX_WAIT = 21_600
"""Seconds a run may wait to start, Lambda's own default; given because Lambda answers with it, and the plan would differ."""


class Migration(Construct):
    """The function that deployments invoke, and a daily schedule that is documented as off until needed.

    Args:
        platform: what it shares with the other functions.
        network: where it reaches the database.
        database: the database it migrates, as its master user.
        state_table: which migrations were made.
        kms_key_arn: encrypts the alerts topic, which hears of scheduled runs that failed.
        scheduled: whether the schedule runs.

    Attributes:
        function: the function.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: FunctionPlatform,
        network: FunctionNetwork,
        database: DatabaseConnection,
        state_table: Table,
        kms_key_arn: str,
        scheduled: bool = False,
    ) -> None:
        super().__init__(scope, id_)
        names = platform.names
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="migration",
            description="Brings the database's schema up to date",
            variables={
                "RDS_ENDPOINT": database.endpoint,
                "RDS_DATABASE": database.database,
                "RDS_SECRET_ARN": database.secret_arn,
                "MIGRATION_STATE_TABLE": state_table.name,
            },
            statements=[
                Statement(sid="MasterUser", actions=["secretsmanager:GetSecretValue"], resources=[database.secret_arn]),
                table_access("State", state_table, "GetItem", "PutItem", "UpdateItem", "Query"),
                Statement(sid="Alert", actions=["sns:Publish"], resources=[platform.alerts_topic_arn]),
                Statement(
                    sid="EncryptAlert",
                    actions=["kms:Decrypt", "kms:GenerateDataKey"],
                    resources=[kms_key_arn],
                    conditions={"StringEquals": {"kms:ViaService": f"sns.{platform.environment.region}.amazonaws.com"}},
                ),
            ],
            network=network,
        )
        function, alias = self.function.function.function_name, self.function.alias
        LambdaFunctionEventInvokeConfig(
            self,
            "failures",
            function_name=function,
            qualifier=alias.name,
            # A migration that failed is for somebody to look at; the next day's run tries again.
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
            "schedule",
            name=names.of("migration", "schedule"),
            description="Looks for pending migrations",
            schedule_expression=SCHEDULE,
            state="ENABLED" if scheduled else "DISABLED",
            tags=service_tag("migration"),
        )
        permission = LambdaPermission(
            self,
            "schedule-permission",
            statement_id="schedule",
            action="lambda:InvokeFunction",
            function_name=function,
            qualifier=alias.name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
        )
        CloudwatchEventTarget(
            self, "schedule-target", rule=rule.name, arn=alias.arn, target_id="migration", depends_on=[permission]
        )
