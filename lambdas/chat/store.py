"""Shared code of the chat stores: batch reads across tables, and transaction entries."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import BATCH_GET, Entry, pack, unpack
from lambdas.common.storage.transactions import Transactions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
Key = Mapping[str, str]

_READ_PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds before each retry of the keys that DynamoDB left unprocessed."""


class ChatTables(Struct, frozen=True, kw_only=True):
    """The names of the chat service's tables."""

    rooms: str
    members: str
    messages: str
    idempotency: str


class Items:
    """Reads and writes items of several tables."""

    def __init__(
        self, dynamodb: "DynamoDBClient", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`sleep` waits for a number of seconds."""
        self.dynamodb = dynamodb
        self._sleep = sleep
        self._transactions = Transactions(dynamodb, sleep)

    def read(
        self, keys: Sequence[tuple[str, Key]], *, consistent: bool = True
    ) -> list[Item | None]:
        """Returns the items of these (table, key) pairs in the same order, None for missing items.

        Raises Problem 503 if keys are still unprocessed after all retries.
        """
        found: dict[tuple[str, tuple[tuple[str, str], ...]], Item] = {}
        distinct = list(dict.fromkeys((table, tuple(key.items())) for table, key in keys))
        names = {table: tuple(key) for table, key in keys}
        for start in range(0, len(distinct), BATCH_GET):
            requests: Any = {}
            for table, key in distinct[start : start + BATCH_GET]:
                request = requests.setdefault(table, {"Keys": [], "ConsistentRead": consistent})
                request["Keys"].append(pack(dict(key)))
            for table, item in self._batches(requests):
                found[table, tuple((name, item[name]) for name in names[table])] = item
        return [found.get((table, tuple(key.items()))) for table, key in keys]

    def write(self, entries: Sequence[Entry]) -> None:
        """Writes the entries in one transaction.

        Raises ConditionsFailedError, and Problem 503 if conflicts with other writes do not end.
        """
        self._transactions.write(entries)

    def pages(self, limit: int, **query: Any) -> list[Item]:
        """Returns up to `limit` items of a query, reading as many pages as its filter requires."""
        items: list[Item] = []
        while True:
            page = self.dynamodb.query(Limit=max(limit, 2), **query)
            items += [unpack(item) for item in page["Items"]]
            if len(items) >= limit or "LastEvaluatedKey" not in page:
                return items[:limit]
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _batches(self, requests: Any) -> Iterator[tuple[str, Item]]:
        for pause in (*_READ_PAUSES, None):
            response = self.dynamodb.batch_get_item(RequestItems=requests)
            for table, items in response["Responses"].items():
                yield from ((table, unpack(item)) for item in items)
            requests = response["UnprocessedKeys"]
            if not requests:
                return
            if pause is None:
                raise Problem.unavailable()
            self._sleep(pause)


def put(table: str, item: Mapping[str, Any], *, only_new: str | None = None) -> Entry:
    """Returns a Put entry. With `only_new`, a key attribute, it fails if the item exists."""
    entry: Entry = {"TableName": table, "Item": pack(item)}
    return {
        "Put": _conditional(
            entry, f"attribute_not_exists({only_new})" if only_new else None, {}, {}
        )
    }


def update(
    table: str,
    key: Key,
    expression: str,
    values: Mapping[str, Any],
    *,
    condition: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Entry:
    """Returns an Update entry. `values` are those of the expression and the condition."""
    entry: Entry = {"TableName": table, "Key": pack(key), "UpdateExpression": expression}
    return {"Update": _conditional(entry, condition, values, names or {})}


def delete(
    table: str,
    key: Key,
    *,
    condition: str | None = None,
    values: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
) -> Entry:
    """Returns a Delete entry."""
    return {
        "Delete": _conditional(
            {"TableName": table, "Key": pack(key)}, condition, values or {}, names or {}
        )
    }


def _conditional(
    entry: Entry, condition: str | None, values: Mapping[str, Any], names: Mapping[str, str]
) -> Entry:
    if condition:
        # A failed condition returns the existing item, which saves a read.
        entry |= {
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    if values:
        entry["ExpressionAttributeValues"] = pack(values)
    if names:
        entry["ExpressionAttributeNames"] = dict(names)
    return entry
