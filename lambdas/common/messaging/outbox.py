"""The outbox table, which all services that store their data in DynamoDB share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import ValidationError, convert

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.logs import Logger
from lambdas.common.messaging.events import SOURCE_PREFIX, Event, EventFactory
from lambdas.common.messaging.relay import Claim
from lambdas.common.storage.dynamodb import Table, pack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ATTRIBUTES = ("event_id", "event_type", "detail")


class OutboxWriter:
    """Creates the entries that add events to a service's transactions.

    Event ids start with the service's name (`post-4f1c...`). IAM permits a service to write only
    ids with its own prefix, so that no service can send events in the name of another.
    """

    def __init__(
        self, table: str, service: str, logger: Logger, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`logger` provides the correlation id of the request."""
        self._table = table
        self._events = EventFactory(service, logger, clock, id_prefix=f"{service}-")
        self._clock = clock

    def put(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the entry that stores an event.

        Write the entry in the same transaction as the change that the event reports.

        For the arguments, see `EventFactory.create`.
        """
        event = self._events.create(event_type, actor_id=actor_id, data=data)
        item = {name: getattr(event, name) for name in ATTRIBUTES}
        item["stored_at"] = int(self._clock())
        return {"Put": {"TableName": self._table, "Item": pack(item)}}


class DynamoOutbox:
    """Reads and deletes events for the relay. The table contains only unpublished events."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        *,
        sweep_after: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`list_missed` returns the ids of events that are older than `sweep_after` seconds."""
        self._table = Table(dynamodb, table)
        self._sweep_after = sweep_after
        self._clock = clock

    @contextmanager
    def claim(self, event_ids: Sequence[str]) -> Iterator[Claim]:
        events, invalid = [], []
        for item in filter(None, self._table.get_many([_key(i) for i in event_ids], ATTRIBUTES)):
            # The source is derived from the id and is not stored. IAM checks only the id's prefix,
            # so a stored source could be that of another service.
            service = item["event_id"].rpartition("-")[0]
            try:
                events.append(convert({**item, "source": SOURCE_PREFIX + service}, Event))
            except ValidationError:
                invalid.append(item["event_id"])
        yield Claim(events, self._delete, invalid)

    def list_missed(self) -> Iterator[str]:
        cutoff = int(self._clock()) - self._sweep_after
        items = self._table.scan("stored_at < :cutoff", {":cutoff": cutoff}, ("event_id",))
        return (item["event_id"] for item in items)

    def _delete(self, event_ids: Sequence[str]) -> None:
        self._table.delete_many(map(_key, event_ids))


def _key(event_id: str) -> dict[str, str]:
    return {"event_id": event_id}
