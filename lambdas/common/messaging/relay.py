"""The relay: publishes the events of an outbox.

An outbox stores each event in the transaction of the write that it describes, so that a crash loses
no event. The relay deletes an event only after the bus has accepted it. If the relay crashes before
the deletion, the event is published again, and consumers detect the duplicate by its eventId.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Protocol

from msgspec import Struct

from lambdas.common.messaging.events import BATCH_SIZE, Event, EventPublisher


class NotPublishedError(Exception):
    """Events could not be published now. They remain in the outbox."""


class Claim(Struct, frozen=True):
    """Unpublished events of an outbox. `delete` deletes events by their ids."""

    events: Sequence[Event]
    delete: Callable[[Sequence[str]], object]
    invalid: Sequence[str] = ()
    """Ids of stored items that are not events."""


class Outbox(Protocol):
    """Stored events that are not yet published."""

    def claim(self, event_ids: Sequence[str]) -> AbstractContextManager[Claim]:
        """Reads up to 10 events. Omits events that are no longer stored.

        An implementation may lock the events until the `with` block ends.
        """

    def list_missed(self) -> Iterable[str]:
        """Returns the ids of events that should have been published already."""


class Outcome(Struct, frozen=True):
    """The ids of published events, and of events that remain in the outbox."""

    published: Sequence[str]
    failed: Sequence[str]


class Relay:
    """Publishes the events of an outbox, and deletes published events from it."""

    def __init__(self, outbox: Outbox, publisher: EventPublisher) -> None:
        self._outbox = outbox
        self._publisher = publisher

    def publish(self, event_ids: Iterable[str]) -> Iterator[Outcome]:
        """Publishes events in batches of 10. Yields the outcome of each batch.

        Stops when the caller stops iterating. Propagates errors of the outbox. After such an
        error, the caller must retry the events whose outcome was not yielded.
        """
        remaining = iter(event_ids)
        while batch := list(islice(remaining, BATCH_SIZE)):
            with self._outbox.claim(batch) as claim:
                failed = self._publisher.publish(claim.events)
                published = [e.event_id for e in claim.events if e.event_id not in failed]
                if published:
                    claim.delete(published)
            yield Outcome(published, [*claim.invalid, *failed])

    def sweep(self) -> Iterator[Outcome]:
        """Calls `publish` with the ids that `Outbox.list_missed` returns."""
        return self.publish(self._outbox.list_missed())
