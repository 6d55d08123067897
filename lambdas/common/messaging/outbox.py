"""The outbox: an event is stored in the transaction of the write it tells of, so that a crash after that write loses nothing.

The function `relay` brings what is stored to the bus, at least once: consumers keep events apart by their eventId.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id
from lambdas.common.logs import Logger
from lambdas.common.messaging.events import SOURCE_PREFIX, envelope
from lambdas.common.storage.dynamodb import pack


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event that waits for the relay.

    `event_id` is also the eventId of consumers and begins with the service's name (`post-4f1c...`): the permission to write to
    the table is for ids of the service's own alone, so that nobody speaks for another service. `detail` is JSON, as the bus
    takes it. `stored_at` is in seconds since the epoch.
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
    """Makes a service's events part of its transactions."""

    def __init__(
        self, table: str, service: str, logger: Logger, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`logger` knows the correlation id of the request."""
        self._table = table
        self._service = service
        self._logger = logger
        self._clock = clock

    def put(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """One event, as an entry of DynamoDB's TransactWriteItems beside the entries of the write it tells of.

        `actor_id` is the alias where the act was anonymous; `data` never holds a password, a token or a message's text.
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
