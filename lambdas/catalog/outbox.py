"""Events of the catalog: stored in the change's transaction, sent to the bus, then deleted."""

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
"""The maximum number of entries that PutEvents accepts."""

_ADD = "INSERT INTO catalog.outbox (event_id, type, detail) VALUES (:event_id::uuid, :type, :detail::jsonb)"
# Skips events that another execution environment is sending.
_OLDEST = """
SELECT event_id::text, type, detail::text FROM catalog.outbox ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_DELETE = "DELETE FROM catalog.outbox WHERE event_id = ANY(:sent::uuid[])"


class NewEvent(Struct, frozen=True):
    """An event to store. `detail` is sent to the bus."""

    event_id: str
    type: str
    detail: Mapping[str, Any]


class Events:
    """Creates events in the format of the event contract."""

    def __init__(self, logger: Logger, clock: Clock = SYSTEM_CLOCK) -> None:
        self._logger = logger
        self._clock = clock

    def make(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> NewEvent:
        """Creates an event. `data` must not contain the text of a message."""
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
    """Stores events in a running transaction."""
    for event in events:
        run(
            _ADD,
            event_id=event.event_id,
            type=event.type,
            detail=msgspec.json.encode(event.detail).decode(),
        )


class Relay:
    """Sends stored events to the bus, the oldest first.

    An event is deleted only after the bus has accepted it, so a crash sends it twice with the same
    `eventId` and loses none. Requests relay right after their change; the scheduled sweep relays
    events that remain after a crash or an outage.
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
        """Relays at most one batch. Logs errors instead of raising: the events stay stored."""
        try:
            self._batch()
        except Exception:
            self._logger.exception("events not relayed; the sweep will retry")

    def sweep(self) -> int:
        """Relays all stored events and returns their number.

        Raises the errors of the database and the bus.
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
            run(_DELETE, sent=sent)
        return len(sent)

    def _put(self, stored: Sequence[Sequence[str]]) -> list[str]:
        """Sends events and returns the ids of the accepted ones. Raises if the call fails."""
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
            self._logger.exception("the event bus is unavailable", events=len(stored))
            raise
        accepted = []
        for (event_id, event_type, _), entry in zip(stored, result["Entries"], strict=True):
            if "ErrorCode" in entry:
                reason = entry["ErrorCode"]
                self._logger.error(
                    "event refused", event_id=event_id, event_type=event_type, reason=reason
                )
            else:
                accepted.append(event_id)
        return accepted
