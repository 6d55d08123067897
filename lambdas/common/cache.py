"""Connections to the cache (Valkey or Redis)."""

from typing import TYPE_CHECKING, Any

from lambdas.common.iam_tokens import elasticache_token
from lambdas.common.settings import Settings

if TYPE_CHECKING:
    import boto3
    import redis


class CacheSettings(Settings, frozen=True, kw_only=True):
    """`elasticache_cluster` is host:port. An empty user name means no authentication."""

    elasticache_cluster: str
    elasticache_username: str = ""
    elasticache_replication_group: str = ""
    elasticache_tls: bool = False


def create_cache(
    settings: CacheSettings, session: "boto3.session.Session", *, timeout: float, retries: int = 1
) -> "redis.Redis":
    """A client that connects when it is first used; no network wait of it is longer than `timeout` seconds."""
    import redis  # noqa: PLC0415 (150 ms of a cold start, only where the cache is used)
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    host, _, port = settings.elasticache_cluster.rpartition(":")
    secured: dict[str, Any] = {}
    if settings.elasticache_tls:
        secured.update(ssl=True, ssl_cert_reqs="required", ssl_check_hostname=True)
    if settings.elasticache_username:

        class IamCredentials(redis.CredentialProvider):
            """Signs a token for each new connection, since one is good for 15 minutes only."""

            def get_credentials(self) -> tuple[str] | tuple[str, str]:
                user = settings.elasticache_username
                return user, elasticache_token(session, settings.elasticache_replication_group, user)

        secured["credential_provider"] = IamCredentials()
    return redis.Redis(
        host=host,
        port=int(port),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        decode_responses=True,
        # One repeat, for a connection that the server has closed meanwhile; redis-py's own ten would outlast the caller.
        retry=Retry(NoBackoff(), retries),
        **secured,
    )
