"""A queue that receives the events of the platform's bus."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.api_description import event_validator
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.waiting import wait_for


class Inbox:
    """A queue that receives events."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url
        self._events: list[dict[str, Any]] = []

    def receive(self) -> list[dict[str, Any]]:
        """Receives waiting events, and returns all events received so far.

        Each event must match its schema in docs/api/events.
        """
        response = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in response.get("Messages", []):
            event = json.loads(message["Body"])
            event_validator(event["source"], event["detail-type"]).validate(event)
            self._events.append(event)
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self._events

    def receive_about(self, key: str, *ids: str) -> list[dict[str, Any]]:
        """Receives waiting events, and returns all received events about the given objects.

        Tests that run in parallel publish events about other objects to the same bus.

        Args:
            key: the key of the object's id in the event's data, for example `postId`. Events
                without this key are ignored.
            ids: the ids of the objects.
        """
        return [event for event in self.receive() if event["detail"]["data"].get(key) in ids]

    def wait_for_event(self, person: Person, event_type: str) -> dict[str, Any]:
        """Returns the first event of this type whose actor is the person."""
        wanted = (event_type, person.user_id)

        def find_event() -> dict[str, Any] | None:
            return next(
                (
                    event
                    for event in self.receive()
                    if (event["detail-type"], event["detail"]["actorId"]) == wanted
                ),
                None,
            )

        return wait_for(find_event, seconds=60)


@contextmanager
def subscribe_to_bus(platform: Platform, source_prefix: str) -> Iterator[Inbox]:
    """Yields an inbox that receives the events whose source starts with the prefix."""
    events, sqs = platform.aws("events"), platform.aws("sqs")
    name = f"test-{uuid.uuid4().hex[:12]}"
    on_bus = {"EventBusName": platform.outputs["event_bus_name"]}
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = json.dumps({"source": [{"prefix": source_prefix}]})
    events.put_rule(Name=name, EventPattern=pattern, **on_bus)
    events.put_targets(
        Rule=name, Targets=[{"Id": "inbox", "Arn": attributes["QueueArn"]}], **on_bus
    )
    try:
        yield Inbox(sqs, url)
    finally:
        events.remove_targets(Rule=name, Ids=["inbox"], **on_bus)
        events.delete_rule(Name=name, **on_bus)
        sqs.delete_queue(QueueUrl=url)
