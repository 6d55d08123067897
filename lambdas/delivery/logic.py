"""What delivery does: the ordered queue's frames at once, and each stored message that nobody has delivered when it has been waited for."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from lambdas.common.live.chat_messages import FIRST_VERSION, Message, delivery_of
from lambdas.common.live.fanout import Delivery, Fanout
from lambdas.common.live.listeners import LiveRooms
from lambdas.common.logs import Logger
from lambdas.common.storage.cache import CacheUnavailableError


class Stored(Struct, frozen=True, rename="camel"):
    """A state of a message that was stored, and is to be delivered."""

    message_id: str
    version: int

    @property
    def name(self) -> str:
        """What names its delivery."""
        return delivery_of(self.message_id, self.version)


class Later(Protocol):
    """Gives things back after a while."""

    def check(self, stored: Sequence[Stored]) -> None:
        """Raises whatever keeps them from being taken."""


class DeliveryService:
    """Delivers frames to the connections of rooms."""

    def __init__(
        self,
        *,
        fanout: Fanout,
        live: LiveRooms,
        later: Later,
        find: Callable[[str], Message | None],
        logger: Logger,
    ) -> None:
        """`find` reads a message by its id, consistently."""
        self._fanout = fanout
        self._live = live
        self._later = later
        self._find = find
        self._logger = logger

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Sends frames. Without the cache nobody can be found: what was stored comes back by `watch`, and the rest is of the moment."""
        try:
            self._fanout.deliver(deliveries)
        except CacheUnavailableError:
            self._logger.warning("not delivered for want of the cache", count=len(deliveries))

    def watch(self, stored: Iterable[Stored]) -> None:
        """Hears of everything that is stored, about when it is delivered: what is not remembered as sent is asked for later."""
        stored = list(stored)
        try:
            progress = self._live.progress([item.name for item in stored])
        except CacheUnavailableError:
            progress = {}
        self._look_later([item for item in stored if progress.get(item.name) != "sent"])

    def make_good(self, stored: Sequence[Stored]) -> None:
        """Delivers what nobody has delivered meanwhile; what still waits in the ordered queue is asked for again.

        Raises CacheUnavailableError, upon which it comes again.
        """
        progress = self._live.progress([item.name for item in stored])
        lost = [item for item in stored if progress[item.name] is None]
        deliveries = [delivery for item in lost if (delivery := self._delivery(item))]
        if deliveries:
            self._logger.warning(
                "deliveries made good", names=[delivery.name for delivery in deliveries]
            )
            self._fanout.deliver(deliveries)
        self._look_later([item for item in stored if progress[item.name] == "queued"])

    def evict(self, room_id: str, user_id: str) -> None:
        """Takes a user's connections out of a room. Raises CacheUnavailableError, upon which it comes again."""
        self._live.evict(room_id, user_id)

    def _delivery(self, stored: Stored) -> Delivery | None:
        message = self._find(stored.message_id)
        # Of a later state there is word of its own, except of the message itself: listeners have not seen its number yet.
        if message is None or stored.version not in {message.version, FIRST_VERSION}:
            return None
        return Delivery(
            message.room_id, message.frame(as_new=stored.version == FIRST_VERSION), stored.name
        )

    def _look_later(self, stored: Sequence[Stored]) -> None:
        if stored:
            self._later.check(stored)
