"""Tests transactions and their retries, on moto."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import ConditionFailedError, Entry, Table
from lambdas.common.storage.transactions import Transactions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NEW: Any = {"condition": "attribute_not_exists(item_id)"}


@pytest.fixture
def items(dynamodb: "DynamoDBClient", table: Callable[..., str]) -> Table:
    return Table(dynamodb, table("item_id"))


def put(items: Table, item_id: str, **expressions: Any) -> Entry:
    return items.build_put({"item_id": item_id}, **expressions)


def ids(items: Table) -> set[str]:
    return {item["item_id"]["S"] for item in items.client.scan(TableName=items.name)["Items"]}


def test_the_error_names_the_failed_conditions_and_nothing_is_written(items: Table) -> None:
    transactions = Transactions(items.client)
    transactions.write({"first": put(items, "a", **NEW), "second": put(items, "b")})
    with pytest.raises(ConditionFailedError) as error:
        transactions.write(
            {
                "c": put(items, "c"),
                "a": put(items, "a", **NEW, return_existing=True),
                "d": put(items, "d", **NEW),
                "b": put(items, "b", **NEW),
            }
        )
    assert error.value.failed == {"a": {"item_id": "a"}, "b": {}}
    assert ids(items) == {"a", "b"}


def test_each_kind_of_transaction_entry_takes_effect(items: Table) -> None:
    exists: Any = {"condition": "attribute_exists(item_id)"}
    items.put({"item_id": "a"})
    items.put({"item_id": "b"})
    entries = {
        "check": items.build_check({"item_id": "a"}, **exists),
        "delete": items.build_delete({"item_id": "b"}, **exists),
        "update": items.build_update({"item_id": "c"}, "SET note = :one", values={":one": 1}),
    }
    Transactions(items.client).write(entries)
    assert ids(items) == {"a", "c"}
    with pytest.raises(ConditionFailedError) as error:
        Transactions(items.client).write(
            {**entries, "check": items.build_check({"item_id": "missing"}, **exists)}
        )
    assert set(error.value.failed) == {"check", "delete"}


class BusyClient:
    """A DynamoDB client that cancels the first `times` transactions with the reasons `codes`."""

    def __init__(self, dynamodb: "DynamoDBClient", times: int, *codes: str) -> None:
        self._dynamodb = dynamodb
        self._codes = codes
        self._left = times

    def transact_write_items(self, **arguments: Any) -> None:
        if not self._left:
            self._dynamodb.transact_write_items(**arguments)
            return
        self._left -= 1
        reasons: Any = [{"Code": code} for code in self._codes]
        response: Any = {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": reasons,
        }
        raise ClientError(response, "TransactWriteItems")


def test_a_conflict_is_retried_with_exponential_backoff(
    items: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    pauses: list[float] = []
    busy: Any = BusyClient(items.client, 4, "None", "TransactionConflict")
    Transactions(busy, pauses.append).write({"a": put(items, "a"), "b": put(items, "b")})
    assert pauses == [0.02, 0.04, 0.08, 0.16]
    assert ids(items) == {"a", "b"}


def test_persistent_conflicts_raise_503_before_the_request_times_out(items: Table) -> None:
    pauses: list[float] = []
    busy: Any = BusyClient(items.client, 10**6, "TransactionConflict")
    with pytest.raises(Problem) as outage:
        Transactions(busy, pauses.append).write({"a": put(items, "a")})
    assert outage.value.status == 503
    assert len(pauses) > 8
    assert sum(pauses) < 7


def test_a_failed_condition_is_not_retried_when_another_entry_conflicts(items: Table) -> None:
    busy: Any = BusyClient(items.client, 1, "TransactionConflict", "ConditionalCheckFailed")
    with pytest.raises(ConditionFailedError) as error:
        Transactions(busy).write({"a": put(items, "a"), "b": put(items, "b")})
    assert set(error.value.failed) == {"b"}


def test_other_errors_are_propagated(items: Table) -> None:
    busy: Any = BusyClient(items.client, 1, "ValidationError")
    with pytest.raises(ClientError):
        Transactions(busy).write({"a": put(items, "a")})
    nowhere = Table(items.client, "nowhere")
    with pytest.raises(ClientError):
        Transactions(items.client).write({"a": put(nowhere, "a")})
