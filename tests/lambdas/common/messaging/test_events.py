"""Tests of the event format and of the publisher."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError

from lambdas.common.messaging import events as module
from lambdas.common.messaging.events import DirectEvents, Event, EventFactory, EventPublisher
from tests.lambdas.event_bus import UNAVAILABLE, FakeEventBridge
from tests.lambdas.support import FakeClock

Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_PAUSE", 0)


def create_publisher(bridge: Any, logger: Logger) -> EventPublisher:
    return EventPublisher(lambda: bridge, "the-bus", logger)


def create_events(*types: str) -> list[Event]:
    return [
        Event(event_id=f"id-{kind}", source="multitask.post", event_type=kind, detail="{}")
        for kind in types
    ]


def publish_directly(bridge: Any, logger: Logger) -> None:
    logger.set_correlation_id("trace-1")
    factory = EventFactory("auth", logger, FakeClock())
    DirectEvents(factory, create_publisher(bridge, logger)).publish(
        "UserLoggedIn", actor_id="u", data={"k": 1}
    )


def test_an_entry_has_the_format_of_the_contract(logger: Logger) -> None:
    bridge = FakeEventBridge()
    publish_directly(bridge, logger)
    [[entry]] = bridge.calls
    detail = json.loads(entry.pop("Detail"))
    assert entry == {
        "EventBusName": "the-bus",
        "Source": "multitask.auth",
        "DetailType": "UserLoggedIn",
    }
    assert detail.pop("eventId")
    assert detail == {
        "occurredAt": "2027-01-15T08:00:00.000Z",
        "correlationId": "trace-1",
        "actorId": "u",
        "data": {"k": 1},
    }


@pytest.mark.parametrize("failure", [UNAVAILABLE, {"UserLoggedIn": "InvalidArgument"}])
def test_a_directly_published_event_that_cannot_be_sent_is_logged_and_does_not_raise(
    failure: Any, logger: Logger, logged: Logged
) -> None:
    publish_directly(FakeEventBridge(failure), logger)
    [line] = logged()
    assert (line["level"], line["event_type"]) == ("ERROR", "UserLoggedIn")


def test_entries_that_fail_temporarily_are_retried_once(logger: Logger, logged: Logged) -> None:
    failure = {"B": "ThrottlingException", "C": "InternalFailure"}
    bridge = FakeEventBridge(failure, {"C": "InternalFailure"})
    publisher = create_publisher(bridge, logger)
    assert publisher.publish(create_events("A", "B", "C")) == {"id-C"}
    assert [len(call) for call in bridge.calls] == [3, 2]
    assert bridge.types() == ["A", "B"]
    assert [(line["message"], line["event_id"]) for line in logged()] == [
        ("event published", "id-A"),
        ("event published", "id-B"),
        ("event not published", "id-C"),
    ]


def test_a_published_event_is_logged_with_the_request_that_caused_it(
    logger: Logger, logged: Logged
) -> None:
    publish_directly(FakeEventBridge(), logger)
    logger.set_correlation_id("of-the-relay")
    [line] = logged()
    assert line["message"] == "event published"
    assert (line["correlation_id"], line["occurred_at"], line["event_type"]) == (
        "trace-1",
        "2027-01-15T08:00:00.000Z",
        "UserLoggedIn",
    )


def test_rejected_entries_are_not_retried(logger: Logger) -> None:
    bridge = FakeEventBridge({"A": "InvalidArgument"})
    assert create_publisher(bridge, logger).publish(create_events("A", "B")) == {"id-A"}
    assert len(bridge.calls) == 1


def test_a_failed_call_is_logged_and_not_retried(logger: Logger, logged: Logged) -> None:
    error = ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "denied: events:PutEvents"}},
        "PutEvents",
    )
    bridge = FakeEventBridge(error)
    assert create_publisher(bridge, logger).publish(create_events("A", "B")) == {"id-A", "id-B"}
    assert len(bridge.calls) == 1
    assert {line["reason"] for line in logged()} == {"AccessDeniedException"}
    assert all("events:PutEvents" in line["error"] for line in logged())


def test_an_empty_batch_makes_no_call(logger: Logger) -> None:
    bridge = FakeEventBridge()
    assert create_publisher(bridge, logger).publish([]) == set()
    assert not bridge.calls
