"""The function that migrates the database, and its schedule."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import Access, authority_variables, table_access
from modules.base.connections import DatabaseConnection
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.policy import Statement
from modules.base.schedule import Schedule, failure_alerts
from modules.base.table import Table

MIGRATION_SCHEDULE = "rate(1 day)"
"""The interval for applying pending migrations, as the specification requires."""


class Migration(Construct):
    """The function that migrates the database. Deployments invoke it; a daily schedule is optional.

    Args:
        platform: The settings and resources that all functions share.
        network: The subnets and security group from which the function reaches the database.
        database: The database to migrate. The function connects as the master user.
        state_table: The table for the record of migrations.
        kms_key_arn: The KMS key of the alerts topic, to which failed scheduled runs are reported.
        scheduled: Whether the schedule is active. The specification requires False by default.

    Attributes:
        function: The function.
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
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="migration",
            description="Applies database migrations",
            access=[
                Access(
                    {
                        "RDS_ENDPOINT": database.endpoint,
                        "RDS_DATABASE": database.database,
                        "RDS_SECRET_ARN": database.secret_arn,
                        "RDS_TLS": "true",
                        **authority_variables(platform.environment, "RDS_CA_FILE"),
                    },
                    [
                        Statement(
                            sid="MasterUser",
                            actions=["secretsmanager:GetSecretValue"],
                            resources=[database.secret_arn],
                        )
                    ],
                ),
                # The table contains a copy of the migration record for operators. The function
                # itself reads the record in the database.
                table_access(state_table, "PutItem", variable="MIGRATION_STATE_TABLE"),
                failure_alerts(platform, kms_key_arn),
            ],
            network=network,
        )
        Schedule(
            self,
            "schedule",
            platform=platform,
            function=self.function,
            resource="schedule",
            description="Applies pending migrations",
            expression=MIGRATION_SCHEDULE,
            enabled=scheduled,
        )
