"""Records in the cache which WebSocket connections are in which rooms. The entries expire.

If the cache loses the entries, clients join their rooms again.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.storage.cache import GuardedCache

if TYPE_CHECKING:
    import redis

LIFETIME = 11 * 60
"""Seconds for which an idle connection's entries are stored. API Gateway closes the connection
after 600."""

SENT_LIFETIME = 60 * 60
"""Seconds for which a delivery is recorded as sent. The delivery function first checks the record
10 seconds after the message is stored (RETRY_DELAY in modules/services/delivery.py)."""

QUEUED_LIFETIME = 2 * 60
"""Seconds. A delivery that is still in the FIFO queue after this time counts as lost. The time is
enough for the delivery function to send thousands of frames."""

Progress = Literal["queued", "sent"]

_PREFIX = "chat:"
# Every connection's set of rooms contains this member, because the cache deletes empty sets.
_ALIVE = ""


class Connection(Struct, frozen=True):
    """One WebSocket connection of a session.

    `visible` is False for anonymous users, whose online status nobody may see.
    """

    connection_id: str
    user_id: str
    session_id: str
    visible: bool = True


class LiveRooms:
    """The open connections and their rooms, in the cache.

    Each room has a sorted set of its connections by expiry. Each connection has a set of its rooms.
    Every method may raise CacheUnavailableError.
    """

    def __init__(self, cache: GuardedCache, clock: Clock = SYSTEM_CLOCK) -> None:
        self._cache = cache
        self._clock = clock

    def connect(self, connection: Connection) -> None:
        def work(cache: "redis.Redis") -> None:
            with cache.pipeline() as pipe:
                pipe.sadd(_rooms_key(connection), _ALIVE)
                pipe.expire(_rooms_key(connection), LIFETIME)
                pipe.execute()

        self._cache.run(work)

    def touch(self, connection: Connection) -> bool:
        """Extends the connection's entries. Returns False if the connection is unknown."""

        def work(cache: "redis.Redis") -> bool:
            rooms = _as_set(cache.smembers(_rooms_key(connection)))
            if not rooms:
                return False
            with cache.pipeline() as pipe:
                pipe.expire(_rooms_key(connection), LIFETIME)
                for room_id in rooms:
                    if room_id != _ALIVE:
                        # xx updates only existing members, so a connection that was just removed is
                        # not added again.
                        pipe.zadd(_room_key(room_id), self._member(connection), xx=True)
                        pipe.expire(_room_key(room_id), LIFETIME)
                pipe.execute()
            return True

        return self._cache.run(work)

    def disconnect(self, connection: Connection) -> list[str]:
        """Removes the connection and returns the rooms it was in."""

        def work(cache: "redis.Redis") -> list[str]:
            rooms = [
                room_id
                for room_id in _as_set(cache.smembers(_rooms_key(connection)))
                if room_id != _ALIVE
            ]
            with cache.pipeline() as pipe:
                pipe.delete(_rooms_key(connection))
                for room_id in rooms:
                    pipe.zrem(_room_key(room_id), _encode(connection))
                pipe.execute()
            return rooms

        return self._cache.run(work)

    def join(self, connection: Connection, room_id: str) -> None:
        def work(cache: "redis.Redis") -> None:
            with cache.pipeline() as pipe:
                pipe.sadd(_rooms_key(connection), _ALIVE, room_id)
                pipe.expire(_rooms_key(connection), LIFETIME)
                pipe.zadd(_room_key(room_id), self._member(connection))
                pipe.expire(_room_key(room_id), LIFETIME)
                pipe.execute()

        self._cache.run(work)

    def leave(self, connection: Connection, room_id: str) -> None:
        self.remove(room_id, [connection])

    def is_in(self, connection: Connection, room_id: str) -> bool:
        expiry = self._cache.run(
            lambda cache: cache.zscore(_room_key(room_id), _encode(connection))
        )
        return isinstance(expiry, float) and expiry > self._clock()

    def connections(self, room_id: str) -> list[Connection]:
        """Returns the room's connections and removes expired ones."""
        now = self._clock()

        def work(cache: "redis.Redis") -> Any:
            with cache.pipeline() as pipe:
                pipe.zremrangebyscore(_room_key(room_id), "-inf", now)
                pipe.zrange(_room_key(room_id), 0, -1)
                return pipe.execute()[-1]

        return [_decode(member) for member in self._cache.run(work)]

    def remove(self, room_id: str, connections: Sequence[Connection]) -> None:
        if not connections:
            return

        def work(cache: "redis.Redis") -> None:
            with cache.pipeline() as pipe:
                pipe.zrem(_room_key(room_id), *map(_encode, connections))
                for connection in connections:
                    pipe.srem(_rooms_key(connection), room_id)
                pipe.execute()

        self._cache.run(work)

    def mark_sent(self, deliveries: Iterable[str]) -> None:
        def work(cache: "redis.Redis") -> None:
            with cache.pipeline() as pipe:
                for delivery in deliveries:
                    pipe.set(_delivery_key(delivery), "sent", ex=SENT_LIFETIME)
                pipe.execute()

        self._cache.run(work)

    def mark_queued(self, delivery: str) -> None:
        """Records in the cache that a delivery is queued. Keeps an existing record."""
        self._cache.run(
            lambda cache: cache.set(_delivery_key(delivery), "queued", ex=QUEUED_LIFETIME, nx=True)
        )

    def read_progress(self, deliveries: Sequence[str]) -> dict[str, Progress | None]:
        """Returns each delivery's progress by name, or None if nothing is recorded."""

        def work(cache: "redis.Redis") -> Any:
            return cache.mget([_delivery_key(delivery) for delivery in deliveries])

        marks = self._cache.run(work) if deliveries else []
        return dict(zip(deliveries, marks, strict=True))

    def _member(self, connection: Connection) -> dict[str, float]:
        return {_encode(connection): self._clock() + LIFETIME}


def _encode(connection: Connection) -> str:
    # An encoded connection always has three parts, because during a release the previous version
    # of the code also decodes it, and expects three.
    flags = f"{int(connection.visible)}{connection.session_id}"
    return f"{connection.connection_id}|{connection.user_id}|{flags}"


def _decode(member: str) -> Connection:
    connection_id, user_id, flags = member.split("|")
    return Connection(connection_id, user_id, flags[1:], flags.startswith("1"))


def _as_set(members: Any) -> set[str]:
    return set(members)


def _room_key(room_id: str) -> str:
    return f"{_PREFIX}room:{room_id}"


def _rooms_key(connection: Connection) -> str:
    return f"{_PREFIX}connection:{connection.connection_id}"


def _delivery_key(delivery: str) -> str:
    return f"{_PREFIX}delivery:{delivery}"
