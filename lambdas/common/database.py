"""Connections to PostgreSQL."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambdas.common.iam_tokens import rds_token
from lambdas.common.settings import Settings

if TYPE_CHECKING:
    import boto3
    import pg8000.native

CA_BUNDLE = Path(__file__).with_name("rds-ca-bundle.pem")
"""Amazon's RDS certificate authorities, which no public trust store has."""


class DatabaseSettings(Settings, frozen=True, kw_only=True):
    """`rds_endpoint` is host:port. With `rds_iam_auth` a token is the password and TLS is verified; without, neither is used."""

    rds_endpoint: str
    rds_database: str
    rds_username: str
    rds_iam_auth: bool = False


def connect(
    settings: DatabaseSettings, session: "boto3.session.Session", *, timeout: float, application: str
) -> "pg8000.native.Connection":
    """A new connection; no network wait on it is longer than `timeout` seconds.

    Raises pg8000.exceptions.InterfaceError or OSError when the database cannot be reached.
    """
    import pg8000.native  # noqa: PLC0415 (80 ms of a cold start, only where the database is used)

    host, _, port = settings.rds_endpoint.rpartition(":")
    secured: dict[str, Any] = {}
    if settings.rds_iam_auth:
        secured["password"] = rds_token(session, settings.rds_endpoint, settings.rds_username)
        secured["ssl_context"] = _verified_tls()
    return pg8000.native.Connection(
        settings.rds_username,
        host=host,
        port=int(port),
        database=settings.rds_database,
        timeout=timeout,
        application_name=application,
        **secured,
    )


def _verified_tls() -> ssl.SSLContext:
    """A context that verifies the server's name and chain."""
    return ssl.create_default_context(cafile=str(CA_BUNDLE))
