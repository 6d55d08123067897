"""The events of auth on the bus."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.support import PASSWORD, Api, Person, Platform, eventually


class Inbox:
    """A queue, read from the beginning to the end."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url
        self._events: list[dict[str, Any]] = []

    def of(self, person: Person, event_type: str) -> dict[str, Any]:
        """The first event of this type that the person caused."""

        def find() -> dict[str, Any] | None:
            reply = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in reply.get("Messages", []):
                self._events.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            wanted = (event_type, person.user_id)
            return next((e for e in self._events if (e["detail-type"], e["detail"]["actorId"]) == wanted), None)

        return eventually(find, seconds=60)


@pytest.fixture
def bus(platform: Platform) -> Iterator[Inbox]:
    """What goes over the bus while the test runs."""
    events, sqs = platform.aws("events"), platform.aws("sqs")
    name = f"test-{uuid.uuid4().hex[:12]}"
    of_bus = {"EventBusName": platform.outputs["event_bus_name"]}
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["multitask.auth"]}), **of_bus)
    events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": arn}], **of_bus)
    yield Inbox(sqs, url)
    events.remove_targets(Rule=name, Ids=["inbox"], **of_bus)
    events.delete_rule(Name=name, **of_bus)
    sqs.delete_queue(QueueUrl=url)


def test_what_people_do_with_their_accounts_goes_over_the_bus(bus: Inbox, person: Person, api: Api) -> None:
    passwords = {"currentPassword": PASSWORD, "newPassword": "Better-horse-2"}
    headers = {"X-Correlation-Id": "trace-of-a-change"}
    api.post("/v1/auth/change-password", passwords, token=person.access_token, headers=headers).expect(204)
    api.post("/v1/auth/logout", token=person.access_token).expect(204)
    registered = bus.of(person, "UserRegistered")
    assert registered["source"] == "multitask.auth"
    assert registered["detail"].keys() == {"eventId", "occurredAt", "correlationId", "actorId", "data"}
    assert registered["detail"]["data"] == {"userId": person.user_id, "displayName": person.display_name}
    found = [registered, *(bus.of(person, kind) for kind in ("UserLoggedIn", "PasswordChanged", "UserLoggedOut"))]
    assert found[2]["detail"]["correlationId"] == "trace-of-a-change"
    assert len({event["detail"]["eventId"] for event in found}) == len(found)
    told = json.dumps(found)
    assert all(secret not in told for secret in (*passwords.values(), person.access_token, person.refresh_token))
