"""The relay's access to the event bus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from lambdas.common.messaging.outbox import StoredEvent

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

CHUNK = 10
"""Maximum events in one PutEvents call (EventBridge)."""


class Bus(Protocol):
    """Publishes events."""

    def publish(self, events: Sequence[StoredEvent]) -> dict[str, str]:
        """Sends 0 to 10 events. Returns the error code by event id for each failed event."""


class EventBridgeBus:
    """Publishes to an EventBridge bus."""

    def __init__(self, events: "EventBridgeClient", name: str) -> None:
        self._events = events
        self._name = name

    def publish(self, events: Sequence[StoredEvent]) -> dict[str, str]:
        if not events:
            return {}
        entries: Any = [
            {
                "EventBusName": self._name,
                "Source": event.source,
                "DetailType": event.event_type,
                "Detail": event.detail,
            }
            for event in events
        ]
        try:
            results = self._events.put_events(Entries=entries)["Entries"]
        except ClientError as error:
            return dict.fromkeys(
                (event.event_id for event in events), error.response["Error"]["Code"]
            )
        except BotoCoreError as error:
            return dict.fromkeys((event.event_id for event in events), type(error).__name__)
        return {
            event.event_id: result["ErrorCode"]
            for event, result in zip(events, results, strict=True)
            if "ErrorCode" in result
        }
