"""The outbox table in DynamoDB, which all services with DynamoDB tables share."""

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
    """Adds a service's events to its transactions.

    Event ids start with the service's name (`post-4f1c...`). IAM permits a service to write only
    ids with its own prefix, so no service can send events as another.
    """

    def __init__(
        self, table: str, service: str, logger: Logger, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`logger` provides the correlation id of the request."""
        self._table = table
        self._events = EventFactory(service, logger, clock, id_prefix=f"{service}-")
        self._clock = clock

    def put(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the entry that stores an event in the transaction of the write it describes.

        `EventFactory.create` documents the arguments.
        """
        event = self._events.create(event_type, actor_id=actor_id, data=data)
        item = {name: getattr(event, name) for name in ATTRIBUTES}
        item["stored_at"] = int(self._clock())
        return {"Put": {"TableName": self._table, "Item": pack(item)}}


class DynamoOutbox:
    """The relay's access to the table, which is cheap to scan: all its events are unpublished."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        *,
        sweep_after: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`sweep_after` is the age in seconds at which an unpublished event counts as missed."""
        self._table = Table(dynamodb, table)
        self._sweep_after = sweep_after
        self._clock = clock

    @contextmanager
    def claim(self, event_ids: Sequence[str]) -> Iterator[Claim]:
        events, invalid = [], []
        for item in filter(None, self._table.get_many([_key(i) for i in event_ids], ATTRIBUTES)):
            # The source comes from the id, whose prefix IAM checks.
            service = item["event_id"].rpartition("-")[0]
            try:
                events.append(convert({**item, "source": SOURCE_PREFIX + service}, Event))
            except ValidationError:
                invalid.append(item["event_id"])
        yield Claim(events, self._delete, invalid)

    def missed(self) -> Iterator[str]:
        then = int(self._clock()) - self._sweep_after
        missed = self._table.scan("stored_at < :then", {":then": then}, ("event_id",))
        return (item["event_id"] for item in missed)

    def _delete(self, event_ids: Sequence[str]) -> None:
        self._table.delete_many(map(_key, event_ids))


def _key(event_id: str) -> dict[str, str]:
    return {"event_id": event_id}
