"""The catalog's outbox: a table in PostgreSQL with the events that are not published yet."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lambdas.common.messaging.events import SOURCE_PREFIX, Event
from lambdas.common.messaging.relay import Claim
from lambdas.common.storage.database import Database, Run

SOURCE = f"{SOURCE_PREFIX}catalog"

_ADD = """
INSERT INTO catalog.outbox (event_id, type, detail)
VALUES (:event_id::uuid, :type, :detail::jsonb)
"""
_MISSED = "SELECT event_id::text FROM catalog.outbox ORDER BY created_at"
# Skips events that another execution environment has locked and is publishing.
_CLAIM = """
SELECT event_id::text, type, detail::text FROM catalog.outbox
WHERE event_id = ANY(:event_ids::uuid[]) ORDER BY created_at FOR UPDATE SKIP LOCKED
"""
_DELETE = "DELETE FROM catalog.outbox WHERE event_id = ANY(:event_ids::uuid[])"


def add_events(run: Run, events: Sequence[Event]) -> None:
    """Stores events in a running transaction."""
    for event in events:
        run(_ADD, event_id=event.event_id, type=event.event_type, detail=event.detail)


class AuroraOutbox:
    """The outbox for `Relay`. Locks the events that it reads. Concurrent relays skip these."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def claim(self, event_ids: Sequence[str]) -> Iterator[Claim]:
        with self._database.transaction() as run:
            events = [
                Event(event_id=event_id, source=SOURCE, event_type=event_type, detail=detail)
                for event_id, event_type, detail in run(_CLAIM, event_ids=list(event_ids))
            ]
            yield Claim(events, lambda published: run(_DELETE, event_ids=list(published)))

    def list_missed(self) -> list[str]:
        """Returns the ids of all stored events, the oldest first."""
        return [event_id for [event_id] in self._database.read(_MISSED)]
