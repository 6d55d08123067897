"""Domain events on the platform's bus."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.logs import Logger

SOURCE_PREFIX = "multitask."
"""An event's source on the bus is this prefix and the service's name."""

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


def envelope(
    event_id: str,
    *,
    occurred_at: float,
    correlation_id: str | None,
    actor_id: str,
    data: Mapping[str, Any],
) -> str:
    """Returns an event's detail as JSON (API contract, events). `occurred_at`: epoch seconds."""
    detail = {
        "eventId": event_id,
        "occurredAt": timestamp(occurred_at),
        "correlationId": correlation_id,
        "actorId": actor_id,
        "data": data,
    }
    return msgspec.json.encode(detail).decode()


class EventPublisher:
    """Publishes a service's events directly, for writes without a transaction (`outbox.Outbox`).

    An event that cannot be sent is logged and does not fail the request.
    """

    def __init__(
        self,
        events: Callable[[], "EventBridgeClient"],
        bus: str,
        service: str,
        logger: Logger,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`events` returns the client. It is called only when an event is sent."""
        self._events = events
        self._bus = bus
        self._source = SOURCE_PREFIX + service
        self._logger = logger
        self._clock = clock

    def publish(self, event_type: str, *, actor_id: str, data: Mapping[str, Any]) -> None:
        """Sends one event.

        `actor_id` is the alias if the author is anonymous. `data` must not contain a password, a
        token or the text of a message.
        """
        event_id = new_id()
        detail = envelope(
            event_id,
            occurred_at=self._clock(),
            correlation_id=self._logger.get_correlation_id(),
            actor_id=actor_id,
            data=data,
        )
        entry: Any = {
            "EventBusName": self._bus,
            "Source": self._source,
            "DetailType": event_type,
            "Detail": detail,
        }
        try:
            result = self._events().put_events(Entries=[entry])
        except (ClientError, BotoCoreError):
            self._logger.exception("event not published", event_type=event_type, event_id=event_id)
            return
        if result["FailedEntryCount"]:
            reason = result["Entries"][0].get("ErrorCode")
            self._logger.error(
                "event not published", event_type=event_type, event_id=event_id, reason=reason
            )
