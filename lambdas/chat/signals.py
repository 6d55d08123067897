"""Short-lived state of rooms in the cache.

It records who is typing, how far users have read, whose signals are hidden, and who receives the
presence frames of each user.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lambdas.common.people.profiles import Visibility
from lambdas.common.storage.cache import GuardedCache

if TYPE_CHECKING:
    import redis

TYPING_LIFETIME = 6
"""Seconds for which clients show that a user is typing. While the user continues to type, the
user's client repeats the signal."""

TYPING_INTERVAL = 3
"""Minimum seconds between two typing signals of a user that are sent to a room."""

READ_LIFETIME = 24 * 60 * 60
"""Seconds for which a read mark is stored, so that the room does not receive it twice."""

HIDDEN_LIFETIME = 60 * 60
"""Seconds after an anonymous message for which its sender's typing signals and read marks are
hidden, because they would reveal the author."""

ONLINE_LIFETIME = 3 * 60 * 60
"""Seconds for which the audience of a user's presence frames is stored. API Gateway ends
connections after two hours."""

_AUDIENCES: tuple[Visibility, ...] = ("private", "authenticated", "public")
"""The possible audiences of a presence frame, the smallest first."""


class Signals:
    """Short-lived state of rooms. Methods raise CacheUnavailableError if the cache is down."""

    def __init__(self, cache: GuardedCache) -> None:
        self._cache = cache

    def record_typing(self, room_id: str, user_id: str, *, started: bool) -> bool:
        """Records that the user starts or stops typing. Returns True if others must be notified."""
        key = f"chat:typing:{room_id}:{user_id}"

        def work(cache: "redis.Redis") -> bool:
            if started:
                return cache.set(key, 1, ex=TYPING_INTERVAL, nx=True) is not None
            cache.delete(key)
            return True

        return self._cache.run(work)

    def record_read(self, room_id: str, user_id: str, seq: int) -> bool:
        """Records a read mark. Returns True if the user has read further than before."""
        key = f"chat:read:{room_id}"

        def work(cache: "redis.Redis") -> bool:
            with cache.pipeline() as pipe:
                pipe.zadd(key, {user_id: seq}, gt=True, ch=True)
                pipe.expire(key, READ_LIFETIME)
                return bool(pipe.execute()[0])

        return self._cache.run(work)

    def hide(self, room_id: str, user_id: str) -> None:
        """Hides the user's signals in the room, because they sent an anonymous message."""
        self._cache.run(
            lambda cache: cache.set(_hidden_key(room_id, user_id), 1, ex=HIDDEN_LIFETIME)
        )

    def is_hidden(self, room_id: str, user_id: str) -> bool:
        """Returns True if the user's signals in the room are hidden."""
        return self._cache.run(lambda cache: bool(cache.exists(_hidden_key(room_id, user_id))))

    def record_online(self, room_id: str, audiences: Mapping[str, Visibility]) -> None:
        """Stores the audience of each user's presence frames.

        Keeps a larger audience that is already stored.
        """
        key = _online_key(room_id)
        scores = {
            user_id: _AUDIENCES.index(audience)
            for user_id, audience in audiences.items()
            if audience != "private"
        }

        def work(cache: "redis.Redis") -> None:
            with cache.pipeline() as pipe:
                pipe.zadd(key, scores, gt=True)
                pipe.expire(key, ONLINE_LIFETIME)
                pipe.execute()

        if scores:
            self._cache.run(work)

    def clear_online(self, room_id: str, user_id: str) -> Visibility:
        """Deletes and returns the audience of the user's presence frames.

        Returns `private` if no audience is stored.
        """
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
