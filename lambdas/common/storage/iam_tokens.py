"""IAM authentication tokens: presigned requests that RDS and ElastiCache take in place of a password."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    import boto3

LIFETIME = 900
"""Seconds in which a token opens a connection, which then stays open: what both services admit at most."""


def rds_token(session: "boto3.session.Session", endpoint: str, user: str) -> str:
    """A password for the database user `user` at `endpoint` (host:port)."""
    return _presigned(
        session, "rds-db", f"https://{endpoint}", {"Action": "connect", "DBUser": user}
    )


def elasticache_token(session: "boto3.session.Session", replication_group: str, user: str) -> str:
    """A password for the cache user `user` of a replication group, by its id."""
    return _presigned(
        session,
        "elasticache",
        f"http://{replication_group.lower()}",
        {"Action": "connect", "User": user},
    )


def _presigned(
    session: "boto3.session.Session", service: str, origin: str, query: dict[str, str]
) -> str:
    # Signed directly: generate_db_auth_token needs an RDS client, whose model takes a cold start 150 ms to read.
    from botocore.auth import SigV4QueryAuth  # noqa: PLC0415 (only where IAM authentication is on)
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    credentials = session.get_credentials()
    if credentials is None:
        raise RuntimeError("no AWS credentials to sign an IAM authentication token with")
    request = AWSRequest("GET", f"{origin}/?{urlencode(query)}")
    SigV4QueryAuth(
        credentials.get_frozen_credentials(), service, session.region_name, expires=LIFETIME
    ).add_auth(request)
    return str(request.url).partition("://")[2]
