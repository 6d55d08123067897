"""What is of the moment in a room, in the cache: who is typing, how far each has read, whose doings stay unseen, and who is said to be
online."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from lambdas.common.people.profiles import Visibility
from lambdas.common.storage.cache import GuardedCache

if TYPE_CHECKING:
    import redis

TYPING_LIFETIME = 6
"""Seconds for which listeners take somebody to be typing; the typist's client says it again while it lasts."""

TYPING_INTERVAL = 3
"""Seconds in which somebody's typing is told once, however often their client says so."""

READ_LIFETIME = 24 * 60 * 60
"""Seconds a read mark is remembered, so that the same one is not told twice."""

UNSEEN_LIFETIME = 60 * 60
"""Seconds after an anonymous message in which its sender's typing and reading are not told: they would tell who it was."""

ONLINE_LIFETIME = 3 * 60 * 60
"""Seconds that it is remembered who was told of somebody's being online: longer than the two hours API Gateway keeps a connection."""

_AUDIENCES: tuple[Visibility, ...] = ("private", "authenticated", "public")
"""Each with more people in it than the one before."""


class Signals(Protocol):
    """Every method raises CacheUnavailableError where the cache does not answer."""

    def typing(self, room_id: str, user_id: str, *, started: bool) -> bool:
        """Whether it is to be told."""

    def read(self, room_id: str, user_id: str, seq: int) -> bool:
        """Whether the user has read further than before."""

    def hide(self, room_id: str, user_id: str) -> None:
        """The user has sent anonymously."""

    def hidden(self, room_id: str, user_id: str) -> bool:
        """Whether the user's doings in the room stay unseen."""

    def came(self, room_id: str, audiences: Mapping[str, Visibility]) -> None:
        """It is told in the room that these users are online, to these people."""

    def went(self, room_id: str, user_id: str) -> Visibility:
        """The most people who have been told in the room that the user is online, for the last time."""


class CachedSignals:
    """Signals in Valkey."""

    def __init__(self, cache: GuardedCache) -> None:
        self._cache = cache

    def typing(self, room_id: str, user_id: str, *, started: bool) -> bool:
        key = f"chat:typing:{room_id}:{user_id}"

        def work(cache: "redis.Redis") -> bool:
            if started:
                return cache.set(key, 1, ex=TYPING_INTERVAL, nx=True) is not None
            cache.delete(key)
            return True

        return self._cache.run(work)

    def read(self, room_id: str, user_id: str, seq: int) -> bool:
        key = f"chat:read:{room_id}"

        def work(cache: "redis.Redis") -> bool:
            with cache.pipeline() as pipe:
                pipe.zadd(key, {user_id: seq}, gt=True, ch=True)
                pipe.expire(key, READ_LIFETIME)
                return bool(pipe.execute()[0])

        return self._cache.run(work)

    def hide(self, room_id: str, user_id: str) -> None:
        self._cache.run(
            lambda cache: cache.set(_hidden_key(room_id, user_id), 1, ex=UNSEEN_LIFETIME)
        )

    def hidden(self, room_id: str, user_id: str) -> bool:
        return self._cache.run(lambda cache: bool(cache.exists(_hidden_key(room_id, user_id))))

    def came(self, room_id: str, audiences: Mapping[str, Visibility]) -> None:
        key = _online_key(room_id)
        told = {
            user_id: _AUDIENCES.index(audience)
            for user_id, audience in audiences.items()
            if audience != "private"
        }

        def work(cache: "redis.Redis") -> None:
            with cache.pipeline() as pipe:
                pipe.zadd(key, told, gt=True)
                pipe.expire(key, ONLINE_LIFETIME)
                pipe.execute()

        if told:
            self._cache.run(work)

    def went(self, room_id: str, user_id: str) -> Visibility:
        key = _online_key(room_id)

        def work(cache: "redis.Redis") -> Visibility:
            with cache.pipeline() as pipe:
                pipe.zscore(key, user_id)
                pipe.zrem(key, user_id)
                return _AUDIENCES[int(pipe.execute()[0] or 0)]

        return self._cache.run(work)


def _hidden_key(room_id: str, user_id: str) -> str:
    return f"chat:hidden:{room_id}:{user_id}"


def _online_key(room_id: str) -> str:
    return f"chat:online:{room_id}"
