"""Fixtures: AWS in this process (moto), a log that tests read, and a clock that they advance."""

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from moto import mock_aws
from moto.dynamodb.responses import DynamoHandler

from lambdas.common.messaging.events import Event, EventFactory
from lambdas.common.web.http import Request
from lambdas.common.web.router import Router
from tests.described import check_event, check_response, is_declared
from tests.lambdas.support import REGION, FakeClock
from tests.service_models import shared_service_models

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    with shared_service_models():
        yield


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolates tests from the developer's AWS configuration."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.fixture(autouse=True)
def declared_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares every response and event of a function with its declared type."""
    respond, create = Router._respond, EventFactory.create

    def checked_respond(router: Router, http: Request) -> dict[str, Any]:
        result = respond(router, http)
        if http.route:
            route = router._table.match(http.segments)[0][http.method]
            operation = router._operations[route.operation]
            if is_declared(operation):
                check_response(
                    route, operation, result["statusCode"], result["headers"], result["body"]
                )
        return result

    def checked_create(factory: EventFactory, event_type: str, **arguments: Any) -> Event:
        event = create(factory, event_type, **arguments)
        check_event(event.event_type, json.loads(event.detail))
        return event

    monkeypatch.setattr(Router, "_respond", checked_respond)
    monkeypatch.setattr(EventFactory, "create", checked_create)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(log: io.StringIO, request: pytest.FixtureRequest) -> Logger:
    # Powertools caches loggers by service name, so each test uses a different name.
    return Logger(service=request.node.name, stream=log)


@pytest.fixture
def logged(log: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """Returns a function that returns the parsed JSON lines of the log."""
    return lambda: [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Captures a function's standard output.

    A test must request this fixture before it builds the function, because the function's logger
    writes to the stream that was `sys.stdout` when the function was built.
    """
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs moto with a DynamoDB that processes one request at a time.

    In DynamoDB, conditional writes and transactions are atomic. In moto, they are not: a failed
    transaction restores the tables from a copy, and so undoes concurrent writes of other requests.
    """
    lock, call = threading.Lock(), DynamoHandler.call_action

    def serialized(handler: DynamoHandler) -> Any:
        with lock:
            return call(handler)

    monkeypatch.setattr(DynamoHandler, "call_action", serialized)
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(aws: None) -> "DynamoDBClient":
    return boto3.client("dynamodb", region_name=REGION)


@pytest.fixture
def table(dynamodb: "DynamoDBClient") -> Callable[..., str]:
    """Returns a function that creates a table with a hash key and an optional index.

    The function returns the table's name.
    """

    def create(key: str, index: str | None = None) -> str:
        attributes = [key, *([index] if index else [])]
        arguments: dict[str, Any] = {}
        if index:
            arguments["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": f"{index.replace('_', '-')}-index",
                    "KeySchema": [{"AttributeName": index, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ]
        dynamodb.create_table(
            TableName=f"{key}-table",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in attributes
            ],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            **arguments,
        )
        return f"{key}-table"

    return create
