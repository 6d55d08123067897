"""Delivers frames from the FIFO queue, and stored messages whose delivery was lost."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from lambdas.common.live.chat_messages import FIRST_VERSION, Message, build_delivery_name
from lambdas.common.live.fanout import Delivery, Departure, Fanout, part_name
from lambdas.common.live.listeners import LiveRooms, Progress
from lambdas.common.logs import Logger
from lambdas.common.people.profiles import ProfileReader
from lambdas.common.storage.cache import CacheUnavailableError


class StoredVersion(Struct, frozen=True, rename="camel"):
    """A version of a stored message, which must be delivered to the room's listeners."""

    message_id: str
    version: int

    @property
    def name(self) -> str:
        """The name under which the delivery of this version is recorded."""
        return build_delivery_name(self.message_id, self.version)


class DeliveryService:
    def __init__(
        self,
        *,
        fanout: Fanout,
        live: LiveRooms,
        check_later: Callable[[Sequence[StoredVersion]], None],
        find: Callable[[str], Message | None],
        profiles: ProfileReader,
        logger: Logger,
        parts: int = 1,
    ) -> None:
        """`check_later` queues versions of messages for a later check. It may raise SQS errors.

        `find` reads a message by its id, consistently. `profiles` reads the authors' names. `parts`
        is the number of parts of a large room. The delivery to each part is recorded separately.
        """
        self._fanout = fanout
        self._live = live
        self._queue_check = check_later
        self._find = find
        self._profiles = profiles
        self._logger = logger
        self._parts = parts

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Sends frames. Drops them if the cache is unavailable.

        `redeliver_lost` later sends dropped messages. Other dropped frames are not sent again,
        because they are useful only for a moment.
        """
        try:
            self._fanout.deliver(deliveries)
        except CacheUnavailableError:
            for delivery in deliveries:
                self._logger.warning(
                    "frame not delivered: cache unavailable", correlation_id=delivery.correlation_id
                )

    def schedule_checks(self, stored: Iterable[StoredVersion]) -> None:
        """Queues a check (`redeliver_lost`) of each stored version that is not recorded as sent."""
        stored = list(stored)
        try:
            progress = self._read_progress(stored)
        except CacheUnavailableError:
            progress = {}
        self._check_later([item for item in stored if progress.get(item.name) != "sent"])

    def redeliver_lost(self, stored: Sequence[StoredVersion]) -> None:
        """Delivers versions that are not recorded as sent or as waiting in the FIFO queue.

        Queues another check of the waiting versions.

        Raises CacheUnavailableError if the cache is down, so that SQS retries the check.
        """
        progress = self._read_progress(stored)
        lost = [item for item in stored if progress[item.name] is None]
        deliveries = [delivery for item in lost if (delivery := self._build_delivery(item))]
        if deliveries:
            self._logger.warning(
                "lost deliveries resent", names=[delivery.name for delivery in deliveries]
            )
            self._fanout.deliver(deliveries)
        self._check_later([item for item in stored if progress[item.name] == "queued"])

    def _read_progress(self, stored: Sequence[StoredVersion]) -> dict[str, Progress | None]:
        """Returns the progress of each version.

        If the room has parts, a version counts as sent when it was sent to all of them.
        """
        parts = {
            item.name: [part_name(item.name, part, self._parts) for part in range(self._parts)]
            for item in stored
            if self._parts > 1
        }
        names = [name for item in stored for name in (item.name, *parts.get(item.name, ()))]
        progress = self._live.read_progress(names)
        for name, found in parts.items():
            if all(progress[part] == "sent" for part in found):
                progress[name] = "sent"
        return progress

    def evict(self, room_id: str, reason: Departure, user_id: str | None) -> None:
        """Removes a user's connections from a room. None means all users.

        Raises CacheUnavailableError."""
        self._fanout.evict(room_id, reason, user_id)

    def _build_delivery(self, stored: StoredVersion) -> Delivery | None:
        message = self._find(stored.message_id)
        # Skips an outdated version, because the latest version has a separate delivery. Exception:
        # a first version is always delivered, as `new_message` with the message's current content,
        # because listeners do not know the message's number yet.
        if message is None or stored.version not in {message.version, FIRST_VERSION}:
            return None
        [name] = self._profiles.author_names([message])
        frame = message.frame(name, as_new=stored.version == FIRST_VERSION)
        return Delivery(message.room_id, frame, stored.name)

    def _check_later(self, stored: Sequence[StoredVersion]) -> None:
        if stored:
            self._queue_check(stored)
