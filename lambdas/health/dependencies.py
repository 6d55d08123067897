"""What the platform depends on, and how each is asked whether it works."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lambdas.common.storage.cache import CacheSettings
from lambdas.common.storage.database import DatabaseSettings, IamCredentials, connect
from lambdas.common.storage.iam_tokens import elasticache_token
from lambdas.health.checks import Check
from lambdas.health.ping import ping

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient

CHECK_TIMEOUT = 1.0
"""Seconds within which what is asked must take the connection, and answer."""

_SERVING = {"ACTIVE", "UPDATING"}


def dynamodb_check(dynamodb: "DynamoDBClient", tables: Sequence[str]) -> Check:
    """Every table is there and serves. Describing them takes no access to the data."""

    def check() -> None:
        states = {
            table: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]
            for table in tables
        }
        wrong = {table: state for table, state in states.items() if state not in _SERVING}
        if wrong:
            raise RuntimeError(f"tables not serving: {wrong}")

    return check


def database_check(settings: DatabaseSettings, session: "boto3.session.Session") -> Check:
    """The database takes a new connection and answers a query."""

    authorize = IamCredentials(settings, session)

    def check() -> None:
        connection = connect(
            settings.rds_endpoint,
            settings.rds_database,
            authorize,
            tls=settings.rds_iam_auth,
            timeout=CHECK_TIMEOUT,
            application="health",
        )
        try:
            connection.run("SELECT 1")
        finally:
            connection.close()

    return check


def cache_check(settings: CacheSettings, session: "boto3.session.Session") -> Check:
    """The cache takes a new connection and answers a PING."""
    host, _, port = settings.elasticache_cluster.rpartition(":")
    user, group = settings.elasticache_username, settings.elasticache_replication_group

    def check() -> None:
        # A token is good for 15 minutes: each connection takes a new one.
        credentials = (user, elasticache_token(session, group, user)) if user else None
        ping(
            host,
            int(port),
            timeout=CHECK_TIMEOUT,
            tls=settings.elasticache_tls,
            credentials=credentials,
        )

    return check
