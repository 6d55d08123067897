"""How functions reach the relational database and the cache."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatabaseConnection:
    """The Aurora cluster, as its clients see it."""

    endpoint: str
    """host:port of the writer."""
    database: str
    resource_id: str
    """The cluster's resource id, which IAM authentication names."""
    secret_arn: str
    """The master user's secret, kept by RDS; for migrations alone."""


@dataclass(frozen=True)
class CacheConnection:
    """The replication group, as its clients see it."""

    endpoint: str
    """host:port of the primary."""
    replication_group_id: str
    replication_group_arn: str
    username: str
    """The user functions connect as; empty: without authentication."""
    user_arn: str | None
    """None: without authentication."""
