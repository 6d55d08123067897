"""The health check."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from modules.base.connections import CacheConnection, DatabaseConnection
from modules.base.data_access import cache_access, database_access
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.policy import Statement
from modules.base.table import Table

DATABASE_USER = "health"
"""The database role it connects as; it may log in and nothing else."""


class Health(Construct):
    """The function behind GET /health: it asks the tables, the database and the cache whether they answer.

    Args:
        platform: what it shares with the other functions.
        network: where it reaches the database and the cache.
        tables: the tables it checks; describing them gives no access to what is in them.
        database: the database it checks.
        cache: the cache it checks.
        version: of the platform, as the answer tells it.

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
        tables: Sequence[Table],
        database: DatabaseConnection,
        cache: CacheConnection,
        version: str,
    ) -> None:
        super().__init__(scope, id_)
        accesses = (
            database_access(platform.names, database, DATABASE_USER),
            cache_access(platform.names, cache),
        )
        variables = {
            "VERSION": version,
            "DYNAMODB_TABLES": ",".join(table.name for table in tables),
        }
        for access in accesses:
            variables.update(access.variables)
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="health",
            description="Says whether what the platform depends on answers",
            variables=variables,
            statements=[
                Statement(
                    sid="Tables",
                    actions=["dynamodb:DescribeTable"],
                    resources=[table.arn for table in tables],
                ),
                *(statement for access in accesses for statement in access.statements),
            ],
            network=network,
        )
