"""The outbox: stores an event in the same transaction as its write, so that a crash loses no event.

The relay function publishes stored events at least once. Consumers detect duplicates by eventId.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id
from lambdas.common.logs import Logger
from lambdas.common.messaging.events import SOURCE_PREFIX, envelope
from lambdas.common.storage.dynamodb import pack


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event that is not yet published.

    `event_id` is the eventId that consumers see and starts with the service's name
    (`post-4f1c...`). IAM permits a service to write only ids with its own prefix, so no service can
    send events as another. `detail` is JSON. `stored_at` is in seconds since the epoch.
    """

    event_id: str
    event_type: str
    detail: str
    stored_at: int

    @property
    def source(self) -> str:
        """The event's source on the bus."""
        return SOURCE_PREFIX + self.event_id.rpartition("-")[0]


class Outbox:
    """Adds a service's events to its transactions."""

    def __init__(
        self, table: str, service: str, logger: Logger, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`logger` provides the correlation id of the request."""
        self._table = table
        self._service = service
        self._logger = logger
        self._clock = clock

    def put(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Returns an entry that stores one event, for the TransactWriteItems of its write.

        `actor_id` is the alias if the author is anonymous. `data` must not contain a password, a
        token or the text of a message.
        """
        event_id, now = f"{self._service}-{new_id()}", self._clock()
        detail = envelope(
            event_id,
            occurred_at=now,
            correlation_id=self._logger.get_correlation_id(),
            actor_id=actor_id,
            data=data,
        )
        event = StoredEvent(
            event_id=event_id, event_type=event_type, detail=detail, stored_at=int(now)
        )
        return {"Put": {"TableName": self._table, "Item": pack(structs.asdict(event))}}
