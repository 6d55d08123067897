"""Transactions and what comes between them, against an in-process DynamoDB."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import pack
from lambdas.common.storage.transactions import ConditionsFailedError, Entry, Transactions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "item_id-table"


def put(item_id: str, **condition: str) -> Entry:
    return {"Put": {"TableName": TABLE, "Item": pack({"item_id": item_id}), **condition}}


NEW = {"ConditionExpression": "attribute_not_exists(item_id)"}


def ids(dynamodb: "DynamoDBClient") -> set[str]:
    return {item["item_id"]["S"] for item in dynamodb.scan(TableName=TABLE)["Items"]}


def test_all_is_written_or_nothing_and_the_refused_are_named(
    dynamodb: "DynamoDBClient", table: Callable[..., str]
) -> None:
    table("item_id")
    transactions = Transactions(dynamodb)
    transactions.write([put("a", **NEW), put("b")])
    with pytest.raises(ConditionsFailedError) as failed:
        transactions.write([put("c"), put("a", **NEW), put("d"), put("b", **NEW)])
    assert failed.value.entries == {1, 3}
    assert ids(dynamodb) == {"a", "b"}


class Crowded:
    """A DynamoDB in which others are in the way so many times."""

    def __init__(self, dynamodb: "DynamoDBClient", times: int, *codes: str) -> None:
        self._dynamodb = dynamodb
        self._codes = codes
        self.left = times

    def transact_write_items(self, **arguments: Any) -> None:
        if not self.left:
            self._dynamodb.transact_write_items(**arguments)
            return
        self.left -= 1
        reasons: Any = [{"Code": code} for code in self._codes]
        response: Any = {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": reasons,
        }
        raise ClientError(response, "TransactWriteItems")


def test_a_collision_is_tried_again_after_pauses_whose_bounds_double(
    dynamodb: "DynamoDBClient", table: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table("item_id")
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    pauses: list[float] = []
    crowded: Any = Crowded(dynamodb, 4, "None", "TransactionConflict")
    Transactions(crowded, pauses.append).write([put("a"), put("b")])
    assert pauses == [0.02, 0.04, 0.08, 0.16]
    assert ids(dynamodb) == {"a", "b"}


def test_collisions_without_end_are_an_outage_within_a_requests_time(
    dynamodb: "DynamoDBClient",
) -> None:
    pauses: list[float] = []
    crowded: Any = Crowded(dynamodb, 10**6, "TransactionConflict")
    with pytest.raises(Problem) as refusal:
        Transactions(crowded, pauses.append).write([put("a")])
    assert refusal.value.status == 503
    assert len(pauses) > 8
    assert sum(pauses) < 8


def test_whatever_else_goes_wrong_is_raised(
    dynamodb: "DynamoDBClient", table: Callable[..., str]
) -> None:
    table("item_id")
    odd: Any = Crowded(dynamodb, 1, "ValidationError")
    with pytest.raises(ClientError):
        Transactions(odd).write([put("a")])
    with pytest.raises(ClientError):
        Transactions(dynamodb).write(
            [{"Put": {"TableName": "nowhere", "Item": pack({"item_id": "a"})}}]
        )
