"""Domain events: their format (docs/api/README.md, Events), and their publication on the bus."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.logs import Logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE_PREFIX = "multitask."
"""An event's source on the bus is this prefix and the service's name."""

BATCH_SIZE = 10
"""Maximum entries in one PutEvents call (EventBridge)."""

RETRY_PAUSE = 0.1
"""Seconds before failed entries are sent a second time."""

_RETRYABLE = {"ThrottlingException", "InternalFailure", "InternalException"}


class Event(Struct, frozen=True, kw_only=True):
    """An event to publish. `detail` is JSON and contains `event_id` as eventId."""

    event_id: str
    source: str
    event_type: str
    detail: str


class _Origin(Struct, frozen=True, rename="camel"):
    """The part of an event's detail that logs contain."""

    correlation_id: str | None = None
    occurred_at: str | None = None


class _Failure(Struct, frozen=True):
    """The reason why an event was not published. `text` is the error message of EventBridge."""

    code: str
    text: str


class EventFactory:
    """Creates a service's events. The logger provides their correlation id."""

    def __init__(
        self, service: str, logger: Logger, clock: Clock = SYSTEM_CLOCK, *, id_prefix: str = ""
    ) -> None:
        self._source = SOURCE_PREFIX + service
        self._logger = logger
        self._clock = clock
        self._id_prefix = id_prefix

    def create(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> Event:
        """Creates an event.

        `actor_id` is the alias id if the author is anonymous. `data` must not contain a password, a
        token or the text of a message.
        """
        event_id = self._id_prefix + new_id()
        detail = {
            "eventId": event_id,
            "occurredAt": timestamp(self._clock()),
            "correlationId": self._logger.get_correlation_id(),
            "actorId": actor_id,
            "data": data,
        }
        return Event(
            event_id=event_id,
            source=self._source,
            event_type=event_type,
            detail=msgspec.json.encode(detail).decode(),
        )


class EventPublisher:
    """Sends events to an EventBridge bus."""

    def __init__(self, events: Callable[[], "EventBridgeClient"], bus: str, logger: Logger) -> None:
        """`events` returns the EventBridge client, and is called when an event is sent."""
        self._events = events
        self._bus = bus
        self._logger = logger

    def publish(self, events: Sequence[Event]) -> set[str]:
        """Sends up to 10 events. Logs their outcome, and returns the ids of those that failed.

        Retries an event once if EventBridge reports a temporary failure of that event. The boto3
        client retries calls that fail as a whole.
        """
        if not events:
            return set()
        failures = self._put(events)
        temporary = [
            event
            for event in events
            if event.event_id in failures and failures[event.event_id].code in _RETRYABLE
        ]
        if temporary:
            time.sleep(RETRY_PAUSE)
            for event in temporary:
                del failures[event.event_id]
            failures |= self._put(temporary)
        for event in events:
            origin = msgspec.json.decode(event.detail, type=_Origin)
            fields: dict[str, Any] = {
                "event_id": event.event_id,
                "event_type": event.event_type,
                "correlation_id": origin.correlation_id,
                "occurred_at": origin.occurred_at,
            }
            if failure := failures.get(event.event_id):
                self._logger.error(
                    "event not published", reason=failure.code, error=failure.text, **fields
                )
            else:
                self._logger.info("event published", **fields)
        return set(failures)

    def _put(self, events: Sequence[Event]) -> dict[str, _Failure]:
        """Calls PutEvents once. Returns the failures by event id."""
        entries: Any = [
            {
                "EventBusName": self._bus,
                "Source": event.source,
                "DetailType": event.event_type,
                "Detail": event.detail,
            }
            for event in events
        ]
        ids = [event.event_id for event in events]
        try:
            results = self._events().put_events(Entries=entries)["Entries"]
        except ClientError as error:
            return dict.fromkeys(ids, _Failure(error.response["Error"]["Code"], str(error)))
        except BotoCoreError as error:
            return dict.fromkeys(ids, _Failure(type(error).__name__, str(error)))
        return {
            event_id: _Failure(result["ErrorCode"], result.get("ErrorMessage", ""))
            for event_id, result in zip(ids, results, strict=True)
            if "ErrorCode" in result
        }


class DirectEvents:
    """Publishes events without an outbox, for services whose writes are not transactions.

    If sending an event fails, the failure is logged and the request still succeeds.
    """

    def __init__(self, factory: EventFactory, publisher: EventPublisher) -> None:
        self._factory = factory
        self._publisher = publisher

    def publish(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> None:
        """Sends one event. For the arguments, see `EventFactory.create`."""
        self._publisher.publish([self._factory.create(event_type, actor_id=actor_id, data=data)])
