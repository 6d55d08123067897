"""Health checks of the platform's dependencies."""

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
"""Maximum seconds for connecting, and for each response."""

_ACTIVE = {"ACTIVE", "UPDATING"}


def dynamodb_check(dynamodb: "DynamoDBClient", tables: Sequence[str]) -> Check:
    """Checks that every table exists and is active. Needs no permission to read items."""

    def check() -> None:
        states = {
            table: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]
            for table in tables
        }
        inactive = {table: state for table, state in states.items() if state not in _ACTIVE}
        if inactive:
            raise RuntimeError(f"some tables are not active: {inactive}")

    return check


def database_check(settings: DatabaseSettings, session: "boto3.session.Session") -> Check:
    """Checks that the database accepts a new connection and runs a query."""

    get_credentials = IamCredentials(settings, session)

    def check() -> None:
        connection = connect(
            settings.rds_endpoint,
            settings.rds_database,
            get_credentials,
            ca_file=settings.rds_ca_file if settings.rds_iam_auth else None,
            timeout=CHECK_TIMEOUT,
            application="health",
        )
        try:
            connection.run("SELECT 1")
        finally:
            connection.close()

    return check


def cache_check(settings: CacheSettings, session: "boto3.session.Session") -> Check:
    """Checks that the cache accepts a new connection and responds to PING."""
    host, _, port = settings.elasticache_cluster.rpartition(":")
    user, group = settings.elasticache_username, settings.elasticache_replication_group

    def check() -> None:
        # Tokens expire after 15 minutes, so each connection gets a new one.
        credentials = (user, elasticache_token(session, group, user)) if user else None
        ping(
            host,
            int(port),
            timeout=CHECK_TIMEOUT,
            tls=settings.elasticache_tls,
            ca_file=settings.elasticache_ca_file,
            credentials=credentials,
        )

    return check
