"""Events, settings and preconditions."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import EndpointConnectionError

from lambdas.common.messaging.events import EventPublisher
from lambdas.common.problems import Problem
from lambdas.common.settings import Settings, SettingsError, read
from lambdas.common.web.http import Request
from lambdas.common.web.preconditions import IfMatch, etag
from tests.lambdas.support import FakeClock, rest_event

Logged = Callable[[], list[dict[str, Any]]]


class FakeBus:
    """Keeps what is sent, or fails."""

    def __init__(self, failure: Exception | None = None, rejects: bool = False) -> None:
        self.sent: list[Any] = []
        self._failure = failure
        self._rejects = rejects

    def put_events(self, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803 (the client's name)
        if self._failure:
            raise self._failure
        self.sent += Entries
        return {
            "FailedEntryCount": int(self._rejects),
            "Entries": [{"ErrorCode": "ThrottlingException"} if self._rejects else {}],
        }


def publish(bus: Any, logger: Logger) -> None:
    logger.set_correlation_id("trace-1")
    EventPublisher(lambda: bus, "the-bus", "auth", logger, FakeClock()).publish(
        "UserLoggedIn", actor_id="u", data={"k": 1}
    )


def test_an_event_has_the_contracts_envelope(logger: Logger) -> None:
    bus = FakeBus()
    publish(bus, logger)
    (entry,) = bus.sent
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


@pytest.mark.parametrize(
    "bus", [FakeBus(EndpointConnectionError(endpoint_url="https://x")), FakeBus(rejects=True)]
)
def test_an_event_that_cannot_be_sent_is_logged_and_fails_nothing(
    bus: FakeBus, logger: Logger, logged: Logged
) -> None:
    publish(bus, logger)
    (line,) = logged()
    assert (line["level"], line["event_type"]) == ("ERROR", "UserLoggedIn")


class Sample(Settings, frozen=True, kw_only=True):
    table_name: str
    tables: tuple[str, ...]
    size: int = 3


ENVIRON = {
    "STAGE": "local",
    "REGION": "us-east-1",
    "TABLE_NAME": "t",
    "TABLES": "a, b,",
    "OTHER": "x",
}


def test_settings_are_typed() -> None:
    settings = read(
        Sample,
        {
            **ENVIRON,
            "SIZE": "5",
            "RATE_LIMIT_ENABLED": "true",
            "CORS_ORIGINS": "https://a, https://b",
        },
    )
    assert (settings.table_name, settings.tables, settings.size) == ("t", ("a", "b"), 5)
    assert settings.rate_limit_enabled is True
    assert settings.cors_origins == ("https://a", "https://b")


def test_an_empty_value_is_the_default() -> None:
    assert read(Sample, {**ENVIRON, "SIZE": ""}).size == 3


def test_all_missing_variables_are_named() -> None:
    with pytest.raises(SettingsError, match=r"variables REGION, TABLE_NAME: they are required\."):
        read(Sample, {**ENVIRON, "TABLE_NAME": " ", "REGION": ""})


@pytest.mark.parametrize(("name", "value"), [("SIZE", "many"), ("RATE_LIMIT_ENABLED", "perhaps")])
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read(Sample, {**ENVIRON, name: value})


@pytest.mark.parametrize(
    ("header", "passes"),
    [
        (None, True),
        ("*", True),
        ('"3"', True),
        ("3", True),
        ('"1", "3"', True),
        ('"2"', False),
        ('W/"3"', False),
        ("", False),
    ],
)
def test_if_match(header: str | None, passes: bool) -> None:
    request = Request(
        rest_event("PATCH", "/v1/posts/1", headers={} if header is None else {"If-Match": header})
    )
    assert etag(3) == '"3"'
    if passes:
        IfMatch.of(request).check(3)
    else:
        with pytest.raises(Problem) as refused:
            IfMatch.of(request).check(3)
        assert refused.value.status == 412
