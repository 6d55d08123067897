"""What is of the moment in a room, in the cache: who is typing, how far each has read, and whose doings stay unseen."""

from typing import TYPE_CHECKING, Protocol

from lambdas.common.cache import GuardedCache

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
        self._cache.run(lambda cache: cache.set(_hidden_key(room_id, user_id), 1, ex=UNSEEN_LIFETIME))

    def hidden(self, room_id: str, user_id: str) -> bool:
        return self._cache.run(lambda cache: bool(cache.exists(_hidden_key(room_id, user_id))))


def _hidden_key(room_id: str, user_id: str) -> str:
    return f"chat:hidden:{room_id}:{user_id}"
