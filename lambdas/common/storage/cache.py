"""Connections to the cache (Valkey or Redis)."""

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from lambdas.common.settings import Settings
from lambdas.common.storage.iam_tokens import elasticache_token

if TYPE_CHECKING:
    import boto3
    import redis

T = TypeVar("T")

CACHE_TIMEOUT = 0.5
"""Seconds for which a service waits for the cache, which usually responds within 5 ms."""


class CacheSettings(Settings, frozen=True, kw_only=True):
    """The settings for connecting to the cache. `elasticache_cluster` is host:port.

    Without `elasticache_username`, clients send no credentials. Without `elasticache_ca_file`, they
    verify the server with the system's certificate authorities.
    """

    elasticache_cluster: str
    elasticache_username: str = ""
    elasticache_replication_group: str = ""
    elasticache_tls: bool = False
    elasticache_ca_file: str | None = None


def create_cache(
    settings: CacheSettings, session: "boto3.session.Session", *, timeout: float, retries: int = 1
) -> "redis.Redis":
    """Creates a client that connects on first use. `timeout` is in seconds, per network wait."""
    import redis  # noqa: PLC0415 (costs 150 ms of a cold start)
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    host, _, port = settings.elasticache_cluster.rpartition(":")
    secured: dict[str, Any] = {}
    if settings.elasticache_tls:
        secured.update(
            ssl=True,
            ssl_cert_reqs="required",
            ssl_check_hostname=True,
            ssl_ca_certs=settings.elasticache_ca_file,
        )
    if settings.elasticache_username:

        class IamCredentials(redis.CredentialProvider):
            """Signs a token for each new connection, since tokens expire after 15 minutes."""

            def get_credentials(self) -> tuple[str] | tuple[str, str]:
                user = settings.elasticache_username
                return user, elasticache_token(
                    session, settings.elasticache_replication_group, user
                )

        secured["credential_provider"] = IamCredentials()
    return redis.Redis(
        host=host,
        port=int(port),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        decode_responses=True,
        # By default, a call is retried once, because the server may have closed the connection.
        # redis-py's default of ten retries could take longer than the function's timeout.
        retry=Retry(NoBackoff(), retries),
        **secured,
    )


class CacheUnavailableError(Exception):
    """The cache does not respond, or did not respond to a recent call."""


class GuardedCache:
    """Calls the cache, which may be down. After a failed call, all calls fail immediately for
    PAUSE_AFTER_FAILURE seconds.

    Otherwise each request during an outage would wait for the timeout.
    """

    PAUSE_AFTER_FAILURE = 1.0
    """Seconds after a failure during which the cache is not called."""

    def __init__(
        self, cache: Callable[[], "redis.Redis"], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`cache` returns the Redis client, and is called in each `run`."""
        self._cache = cache
        self._clock = clock
        self._paused_until = 0.0

    def run(self, work: Callable[["redis.Redis"], T]) -> T:
        """Returns the result of `work(client)`.

        Raises CacheUnavailableError if the cache is down.
        """
        import redis  # noqa: PLC0415 (as above)

        if self._clock() < self._paused_until:
            raise CacheUnavailableError
        try:
            return work(self._cache())
        except redis.RedisError as error:
            self._paused_until = self._clock() + self.PAUSE_AFTER_FAILURE
            raise CacheUnavailableError from error


def guarded_cache(settings: CacheSettings, session: "boto3.session.Session") -> GuardedCache:
    """Returns the cache of a service, with one client that is created on first use."""
    return GuardedCache(
        functools.cache(lambda: create_cache(settings, session, timeout=CACHE_TIMEOUT))
    )
