"""The variables and permissions a function needs to reach the relational database or the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modules.base.connections import CacheConnection, DatabaseConnection
from modules.base.naming import Names
from modules.base.policy import Statement


@dataclass(frozen=True)
class DataAccess:
    """The variables and permissions to add to a function."""

    variables: Mapping[str, str]
    statements: Sequence[Statement]


def database_access(names: Names, database: DatabaseConnection, username: str) -> DataAccess:
    """Grants access as one of the database's roles, with IAM authentication if available."""
    authenticated = names.environment.capabilities.database_authentication
    user = names.arn("rds-db", f"dbuser:{database.resource_id}/{username}")
    return DataAccess(
        variables={
            "RDS_ENDPOINT": database.endpoint,
            "RDS_DATABASE": database.database,
            "RDS_USERNAME": username,
            "RDS_IAM_AUTH": str(authenticated).lower(),
        },
        statements=[Statement(sid="Database", actions=["rds-db:connect"], resources=[user])]
        if authenticated
        else [],
    )


def cache_access(names: Names, cache: CacheConnection) -> DataAccess:
    """Grants access as the cache's only user, with IAM authentication and TLS if available."""
    authenticated = names.environment.capabilities.cache_authentication
    variables = {
        "ELASTICACHE_CLUSTER": cache.endpoint,
        "ELASTICACHE_USERNAME": cache.username,
        "ELASTICACHE_REPLICATION_GROUP": cache.replication_group_id,
        "ELASTICACHE_TLS": str(authenticated).lower(),
    }
    if cache.user_arn is None:
        return DataAccess(variables, [])
    resources = [cache.replication_group_arn, cache.user_arn]
    return DataAccess(
        variables, [Statement(sid="Cache", actions=["elasticache:Connect"], resources=resources)]
    )
