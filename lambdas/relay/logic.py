"""Publishes events from the outbox, then deletes them: duplicates are possible, losses are not."""

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

    It always reads events from the table. Published events are deleted there, so they are not
    published again when Lambda retries a batch or rereads the stream.
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
        """`sweep_after`: seconds after which an unpublished event counts as missed."""
        self._outbox = outbox
        self._bus = bus
        self._retries = retries
        self._logger = logger
        self._sweep_after = sweep_after
        self._clock = clock

    def relay(self, event_ids: Sequence[str]) -> None:
        """Publishes events, and adds a retry message for each that cannot be published now.

        Propagates errors of the table and the queue; then the whole call must be retried.
        """
        for chunk in _chunks(event_ids):
            self._publish_or_retry(self._outbox.read(chunk))

    def retry(self, event_id: str) -> None:
        """Publishes one event, so that a bad event does not take others to the dead-letter queue.

        Raises NotPublishedError, and propagates errors of the table.
        """
        if self._publish(self._outbox.read([event_id])):
            raise NotPublishedError(event_id)

    def sweep(self) -> None:
        """Publishes old events, because the stream keeps records only for 24 hours."""
        for items in _chunks(self._outbox.stored_before(int(self._clock()) - self._sweep_after)):
            self._publish_or_retry(items)

    def _publish_or_retry(self, items: Sequence[Item]) -> None:
        if failed := self._publish(items):
            self._retries.add(failed)

    def _publish(self, items: Sequence[Item]) -> list[str]:
        """Publishes and removes events. Returns the ids of those to retry."""
        events, failed = [], {}
        for item in items:
            try:
                events.append(convert(item, StoredEvent))
            except ValidationError:
                failed[item["event_id"]] = "invalid event"
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
