"""The connection details of the relational database and the cache."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatabaseConnection:
    """How clients connect to the Aurora cluster."""

    endpoint: str
    """The address of the writer, host:port."""
    database: str
    resource_id: str
    """The cluster's resource id, which IAM authentication uses."""
    secret_arn: str
    """The master user's secret, managed by RDS. Only migrations use it."""


@dataclass(frozen=True)
class CacheConnection:
    """How clients connect to the replication group of the cache."""

    endpoint: str
    """The address of the primary node, host:port."""
    replication_group_id: str
    replication_group_arn: str
    username: str
    """The user that functions connect as."""
    user_arn: str
