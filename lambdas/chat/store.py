"""What the chat tables' stores share: consistent reads across tables, and transactions that outlast contention."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct

from lambdas.common.dynamodb import BATCH_GET, pack, unpack
from lambdas.common.problems import Problem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Entry = dict[str, Any]
"""One write of TransactWriteItems."""
Item = dict[str, Any]
Key = Mapping[str, str]

PATIENCE = 8.0
"""Seconds a transaction is tried against others for the same items: a third of what API Gateway waits for the function."""

_READ_PAUSES = (0.05, 0.1, 0.2, 0.4)  # seconds before what DynamoDB left over is asked for again
_CONFLICTS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class ChatTables(Struct, frozen=True, kw_only=True):
    """The names of the tables."""

    rooms: str
    members: str
    messages: str
    idempotency: str


class ConditionFailedError(Exception):
    """A transaction's conditions do not hold. `failed` has the items, where they are there, by the index of the entry."""

    def __init__(self, failed: Mapping[int, Item | None]) -> None:
        super().__init__(f"conditions {sorted(failed)}")
        self.failed = failed


class Items:
    """Reads and transactions. `sleep` takes seconds."""

    def __init__(
        self, dynamodb: "DynamoDBClient", sleep: Callable[[float], None] = time.sleep, patience: float = PATIENCE
    ) -> None:
        self.dynamodb = dynamodb
        self._sleep = sleep
        self._patience = patience

    def read(self, keys: Sequence[tuple[str, Key]], *, consistent: bool = True) -> list[Item | None]:
        """The items of these tables and keys, in their order. Raises Problem 503 when DynamoDB keeps leaving some over."""
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

    def write(self, entries: Callable[[], Sequence[Entry]]) -> None:
        """One transaction, tried again while others write the same items; `entries` makes it anew for each try.

        Raises ConditionFailedError, and Problem 503 when the others do not end.
        """
        for _ in self.tries():
            if self.try_write(entries()):
                return

    def try_write(self, entries: Sequence[Entry]) -> bool:
        """One try of a transaction; False when another one was in its way. Raises ConditionFailedError."""
        try:
            self.dynamodb.transact_write_items(TransactItems=entries)  # type: ignore[arg-type]
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "TransactionInProgressException":
                return False
            if code != "TransactionCanceledException":
                raise
            reasons: Any = error.response.get("CancellationReasons", [])
            failed = {
                index: unpack(reason["Item"]) if reason.get("Item") else None
                for index, reason in enumerate(reasons)
                if reason["Code"] == "ConditionalCheckFailed"
            }
            if failed:
                raise ConditionFailedError(failed) from None
            if any(reason["Code"] in _CONFLICTS for reason in reasons):
                return False
            raise
        return True

    def tries(self) -> Iterator[int]:
        """Counts tries, with a pause that grows and is never the same for two before all but the first. Raises Problem 503 at the
        end."""
        ends_at = time.monotonic() + self._patience
        attempt = 0
        while True:
            yield attempt
            if time.monotonic() > ends_at:
                raise Problem.unavailable("Too many writes at the same place. Try again shortly.")
            attempt += 1
            self._sleep(random.uniform(0, min(0.1, 0.004 * 2**attempt)))  # noqa: S311 (spreads tries, hides nothing)

    def pages(self, limit: int, **query: Any) -> list[Item]:
        """Up to `limit` items of a query, however few of each page pass its filter."""
        found: list[Item] = []
        while True:
            answer = self.dynamodb.query(Limit=max(limit, 2), **query)
            found += [unpack(item) for item in answer["Items"]]
            if len(found) >= limit or "LastEvaluatedKey" not in answer:
                return found[:limit]
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _batches(self, requests: Any) -> Iterator[tuple[str, Item]]:
        for pause in (*_READ_PAUSES, None):
            answer = self.dynamodb.batch_get_item(RequestItems=requests)
            for table, items in answer["Responses"].items():
                yield from ((table, unpack(item)) for item in items)
            requests = answer["UnprocessedKeys"]
            if not requests:
                return
            if pause is None:
                raise Problem.unavailable()
            self._sleep(pause)


def put(table: str, item: Mapping[str, Any], *, only_new: str | None = None) -> Entry:
    """A Put entry; `only_new` names the key attribute that must not be there yet."""
    entry: Entry = {"TableName": table, "Item": pack(item)}
    return {"Put": _conditional(entry, f"attribute_not_exists({only_new})" if only_new else None, {}, {})}


def update(
    table: str,
    key: Key,
    expression: str,
    values: Mapping[str, Any],
    *,
    condition: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Entry:
    """An Update entry; the values are those of both expressions."""
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
    """A Delete entry."""
    return {"Delete": _conditional({"TableName": table, "Key": pack(key)}, condition, values or {}, names or {})}


def _conditional(entry: Entry, condition: str | None, values: Mapping[str, Any], names: Mapping[str, str]) -> Entry:
    if condition:
        # A failed condition's item says at once what is there instead.
        entry |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    if values:
        entry["ExpressionAttributeValues"] = pack(values)
    if names:
        entry["ExpressionAttributeNames"] = dict(names)
    return entry
