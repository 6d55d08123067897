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
"""Seconds that a service waits for the cache: a hundred times what it takes, and an outage must not hold up what does without."""


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
        # One repeat, for a connection that the server has closed meanwhile; redis-py's own ten would outlast the caller.
        retry=Retry(NoBackoff(), retries),
        **secured,
    )


class CacheUnavailableError(Exception):
    """The cache does not answer, or has not a moment ago."""


class GuardedCache:
    """A cache that may be down: every use of it fails in the same way, and after a failure at once for a while.

    Without the pause each request of an outage would wait for the cache's timeout.
    """

    PAUSE = 1.0
    """Seconds after a failure in which nobody asks the cache again."""

    def __init__(
        self, cache: Callable[[], "redis.Redis"], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`cache` gives the client at the first use."""
        self._cache = cache
        self._clock = clock
        self._asked_again_at = 0.0

    def run(self, work: Callable[["redis.Redis"], T]) -> T:
        """What `work` makes of the cache. Raises CacheUnavailableError."""
        import redis  # noqa: PLC0415 (as above)

        if self._clock() < self._asked_again_at:
            raise CacheUnavailableError
        try:
            return work(self._cache())
        except redis.RedisError as error:
            self._asked_again_at = self._clock() + self.PAUSE
            raise CacheUnavailableError from error


def guarded_cache(settings: CacheSettings, session: "boto3.session.Session") -> GuardedCache:
    """The cache of a service: one client, made when it is first used."""
    return GuardedCache(
        functools.cache(lambda: create_cache(settings, session, timeout=CACHE_TIMEOUT))
    )
