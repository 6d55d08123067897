"""Fixtures of the ai tests: local providers and the two tables."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

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
    """Returns a function that reads the numeric attributes of a user's usage on a day."""

    def read(user_id: str, day: str) -> dict[str, int]:
        key = {"user_id": {"S": user_id}, "day": {"S": day}}
        item = dynamodb.get_item(TableName=usage_table, Key=key, ConsistentRead=True).get(
            "Item", {}
        )
        return {name: int(value["N"]) for name, value in item.items() if "N" in value}

    return read
