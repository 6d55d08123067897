"""Fixtures of the ai tests: local providers and the two tables."""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from moto.dynamodb.responses import DynamoHandler

from tests.lambdas.ai.servers import FakeProvider

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def gemini() -> Iterator[FakeProvider]:
    with FakeProvider("gemini") as provider:
        yield provider
    assert provider.violations == []


@pytest.fixture
def openai() -> Iterator[FakeProvider]:
    with FakeProvider("openai") as provider:
        yield provider
    assert provider.violations == []


def _table(dynamodb: "DynamoDBClient", name: str, range_key: str) -> str:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "user_id", "AttributeType": "S"},
            {"AttributeName": range_key, "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "user_id", "KeyType": "HASH"},
            {"AttributeName": range_key, "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def usage_table(dynamodb: "DynamoDBClient") -> str:
    return _table(dynamodb, "usage", "day")


@pytest.fixture
def conversations_table(dynamodb: "DynamoDBClient") -> str:
    return _table(dynamodb, "conversations", "conversation_id")


@pytest.fixture
def usage(dynamodb: "DynamoDBClient", usage_table: str) -> Callable[[str, str], dict[str, int]]:
    """Returns a function that reads the numbers of a user's item for a day."""

    def read(user_id: str, day: str) -> dict[str, int]:
        key = {"user_id": {"S": user_id}, "day": {"S": day}}
        item = dynamodb.get_item(TableName=usage_table, Key=key, ConsistentRead=True).get(
            "Item", {}
        )
        return {name: int(value["N"]) for name, value in item.items() if "N" in value}

    return read


@pytest.fixture
def one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes moto process one request at a time, so that conditional writes are atomic.

    DynamoDB guarantees this for each item. moto does not.
    """
    lock, call = threading.Lock(), DynamoHandler.call_action

    def serialized(self: DynamoHandler) -> Any:
        with lock:
            return call(self)

    monkeypatch.setattr(DynamoHandler, "call_action", serialized)
