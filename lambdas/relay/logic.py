"""How an event gets from the outbox to the bus: published first and removed then, so that it may repeat and is never lost."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from msgspec import ValidationError, convert

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.logs import Logger
from lambdas.common.messaging.outbox import StoredEvent
from lambdas.relay.bus import CHUNK, Bus
from lambdas.relay.outbox import Item, Outbox, Retries

T = TypeVar("T")


class NotPublishedError(Exception):
    """An event could not be published now."""


class Relay:
    """Publishes the events of the outbox.

    It reads each event from the table, whatever it was told of it: what is published already is gone from there, and is not
    published again when a batch is repeated or a stream is read anew.
    """

    def __init__(
        self,
        outbox: Outbox,
        bus: Bus,
        retries: Retries,
        logger: Logger,
        *,
        sweep_after: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`sweep_after` in seconds: what has waited for so long, something has gone wrong with."""
        self._outbox = outbox
        self._bus = bus
        self._retries = retries
        self._logger = logger
        self._sweep_after = sweep_after
        self._clock = clock

    def relay(self, event_ids: Sequence[str]) -> None:
        """Publishes these; those that cannot be published now wait in the retry queue, each by itself.

        Raises what the table or that queue raise: then all of these are to be tried again.
        """
        for chunk in _chunks(event_ids):
            self._publish_or_retry(self._outbox.read(chunk))

    def retry(self, event_id: str) -> None:
        """Publishes one. Alone, so that one which cannot be published takes no other to the dead-letter queue.

        Raises NotPublishedError, and what the table raises.
        """
        if self._publish(self._outbox.read([event_id])):
            raise NotPublishedError(event_id)

    def sweep(self) -> None:
        """Publishes whatever has waited too long: the stream forgets its records after a day, the table does not."""
        for items in _chunks(self._outbox.stored_before(int(self._clock()) - self._sweep_after)):
            self._publish_or_retry(items)

    def _publish_or_retry(self, items: Sequence[Item]) -> None:
        if failed := self._publish(items):
            self._retries.add(failed)

    def _publish(self, items: Sequence[Item]) -> list[str]:
        """Publishes and removes; gives the ids of those that are to be tried again."""
        events, failed = [], {}
        for item in items:
            try:
                events.append(convert(item, StoredEvent))
            except ValidationError:
                failed[item["event_id"]] = "not an event"
        failed |= self._bus.publish(events)
        for event_id, reason in failed.items():
            self._logger.error("event not published", event_id=event_id, reason=reason)
        published = [event.event_id for event in events if event.event_id not in failed]
        return [*failed, *(self._outbox.remove(published) if published else [])]


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
