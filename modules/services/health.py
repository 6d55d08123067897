"""The resources of the health check, which is the function of GET /health."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from modules.base.access import Access, cache_access, database_access
from modules.base.connections import CacheConnection, DatabaseConnection
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.policy import Statement
from modules.base.table import Table

DATABASE_USER = "health"
"""The database role of the function. The role may connect, but not read any table."""


class Health(Construct):
    """The function of GET /health, which checks the tables, the database and the cache.

    Args:
        platform: The settings and resources that all functions share.
        network: The subnets and security group from which the function reaches the database and
            the cache.
        tables: The tables to check. The function can describe them, but not read items.
        database: The database to check. None if checks must not resume a paused database.
        cache: The cache to check.
        version: The platform's version, which the response contains.

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
        tables: Sequence[Table],
        database: DatabaseConnection | None,
        cache: CacheConnection,
        version: str,
    ) -> None:
        super().__init__(scope, id_)
        names = platform.names
        describe = Statement(
            sid="Tables",
            actions=["dynamodb:DescribeTable"],
            resources=[table.arn for table in tables],
        )
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="health",
            description="Checks the databases and the cache",
            variables={"VERSION": version},
            access=[
                Access({"DYNAMODB_TABLES": ",".join(table.name for table in tables)}, [describe]),
                *([database_access(names, database, DATABASE_USER)] if database else []),
                cache_access(names, cache),
            ],
            network=network,
        )
