"""Creates IAM authentication tokens, which RDS and ElastiCache accept as passwords."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    import boto3

LIFETIME = 900
"""Seconds for which a token can open connections. RDS and ElastiCache permit no more."""


def rds_token(session: "boto3.session.Session", endpoint: str, user: str) -> str:
    """Returns a password for the database user `user` at `endpoint` (host:port)."""
    return _presigned(
        session, "rds-db", f"https://{endpoint}", {"Action": "connect", "DBUser": user}
    )


def elasticache_token(session: "boto3.session.Session", replication_group: str, user: str) -> str:
    """Returns a password for the cache user `user`. `replication_group` is the group's id."""
    return _presigned(
        session,
        "elasticache",
        f"http://{replication_group.lower()}",
        {"Action": "connect", "User": user},
    )


def _presigned(
    session: "boto3.session.Session", service: str, origin: str, query: dict[str, str]
) -> str:
    # boto3's generate_db_auth_token needs an RDS client, which adds 150 ms to a cold start.
    from botocore.auth import SigV4QueryAuth  # noqa: PLC0415 (only for IAM authentication)
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    credentials = session.get_credentials()
    if credentials is None:
        raise RuntimeError(
            "no AWS credentials found to sign an IAM authentication token: use a role or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    request = AWSRequest("GET", f"{origin}/?{urlencode(query)}")
    SigV4QueryAuth(
        credentials.get_frozen_credentials(), service, session.region_name, expires=LIFETIME
    ).add_auth(request)
    return str(request.url).partition("://")[2]
