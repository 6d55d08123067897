"""The connection details of the relational database and the cache."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatabaseConnection:
    """How clients connect to the Aurora cluster."""

    endpoint: str
    """host:port of the writer."""
    database: str
    resource_id: str
    """The cluster's resource id, which IAM authentication uses."""
    secret_arn: str
    """The master user's secret, managed by RDS. Only migrations use it."""


@dataclass(frozen=True)
class CacheConnection:
    """How clients connect to the replication group of the cache."""

    endpoint: str
    """host:port of the primary."""
    replication_group_id: str
    replication_group_arn: str
    username: str
    """The user that functions connect as. Empty without authentication."""
    user_arn: str | None
    """None without authentication."""
