"""Events of the catalog: stored in the transaction of what they tell of, then put on the bus, then forgotten."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.logs import Logger
from lambdas.common.storage.database import Database, Run

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "multitask.catalog"

BATCH = 10
"""Entries in one PutEvents at most."""

_ADD = "INSERT INTO catalog.outbox (event_id, type, detail) VALUES (:event_id::uuid, :type, :detail::jsonb)"
# What another execution environment is sending at this moment is left to it.
_OLDEST = """
SELECT event_id::text, type, detail::text FROM catalog.outbox ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_FORGET = "DELETE FROM catalog.outbox WHERE event_id = ANY(:sent::uuid[])"


class NewEvent(Struct, frozen=True):
    """An event to be stored; `detail` is what the bus gets."""

    event_id: str
    type: str
    detail: Mapping[str, Any]


class Events:
    """Makes events in the contract's form."""

    def __init__(self, logger: Logger, clock: Clock = SYSTEM_CLOCK) -> None:
        self._logger = logger
        self._clock = clock

    def make(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> NewEvent:
        """`data` never holds the text of a message."""
        event_id = new_id()
        detail = {
            "eventId": event_id,
            "occurredAt": timestamp(self._clock()),
            "correlationId": self._logger.get_correlation_id(),
            "actorId": actor_id,
            "data": data,
        }
        return NewEvent(event_id, event_type, detail)


def add_events(run: Run, events: Sequence[NewEvent]) -> None:
    """Stores events within a transaction."""
    for event in events:
        run(
            _ADD,
            event_id=event.event_id,
            type=event.type,
            detail=msgspec.json.encode(event.detail).decode(),
        )


class Relay:
    """Puts stored events on the bus, the oldest first.

    An event is forgotten only after the bus has taken it: a crash in between sends it twice, with the same `eventId`, and never not at
    all. Whoever stores one relays right afterwards; what is left over then, a crash's or an outage's, the schedule's sweep relays.
    """

    def __init__(
        self,
        database: Database,
        events: Callable[[], "EventBridgeClient"],
        bus: str,
        logger: Logger,
    ) -> None:
        self._database = database
        self._events = events
        self._bus = bus
        self._logger = logger

    def after_a_change(self) -> None:
        """Relays at most one batch. Whatever goes wrong is logged: what was changed is changed, and its events are safe."""
        try:
            self._batch()
        except Exception:
            self._logger.exception("events not relayed; the sweep will try again")

    def sweep(self) -> int:
        """Relays all there are and tells how many there were.

        Raises what keeps it from that: the database or the bus does not answer.
        """
        swept = 0
        while sent := self._batch():
            swept += sent
        return swept

    def _batch(self) -> int:
        with self._database.transaction() as run:
            stored = run(_OLDEST, limit=BATCH)
            if not stored:
                return 0
            sent = self._put(stored)
            run(_FORGET, sent=sent)
        return len(sent)

    def _put(self, stored: Sequence[Sequence[str]]) -> list[str]:
        """Sends events and gives the ids of those that the bus has taken. Raises the error where it took none."""
        entries: Any = [
            {
                "EventBusName": self._bus,
                "Source": SOURCE,
                "DetailType": event_type,
                "Detail": detail,
            }
            for _, event_type, detail in stored
        ]
        try:
            result = self._events().put_events(Entries=entries)
        except (ClientError, BotoCoreError):
            self._logger.exception("the bus does not answer", events=len(stored))
            raise
        taken = []
        for (event_id, event_type, _), entry in zip(stored, result["Entries"], strict=True):
            if "ErrorCode" in entry:
                reason = entry["ErrorCode"]
                self._logger.error(
                    "event refused", event_id=event_id, event_type=event_type, reason=reason
                )
            else:
                taken.append(event_id)
        return taken
