"""Reads and writes items of DynamoDB tables as plain Python values.

Uses boto3's client, because boto3's resource interface adds 60 ms to a cold start.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from lambdas.common.storage.retries import Sleep, attempts, retry_conflicts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_GET = 100
"""Maximum keys in one BatchGetItem call."""

BATCH_WRITE = 25
"""Maximum requests in one BatchWriteItem call."""

Item = dict[str, Any]
Key = Mapping[str, Any]

Entry = dict[str, Any]
"""One entry of TransactWriteItems: Put, Update, Delete or ConditionCheck."""

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def pack(values: Mapping[str, Any]) -> dict[str, Any]:
    """Converts plain values (str, int, bool, None, bytes, lists, maps) to attribute values."""
    return {name: _serializer.serialize(value) for name, value in values.items()}


def unpack(item: Mapping[str, Any]) -> Item:
    """Converts attribute values to plain values. Numbers become int if whole, else float."""
    return {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}


class ConditionFailedError(Exception):
    """Nothing was written, because a condition was not met.

    `failed` maps the name of each failed entry of a transaction to the existing item, or to {} if
    no item exists or `return_existing` is not set. It is empty if the write was outside a
    transaction.
    """

    def __init__(self, failed: Mapping[str, Item] = {}) -> None:
        super().__init__(f"condition not met: {', '.join(failed) or 'write outside a transaction'}")
        self.failed = failed


def succeeds(write: Callable[[], object]) -> bool:
    """Runs a conditional write. Returns False if its condition was not met."""
    try:
        write()
    except ConditionFailedError:
        return False
    return True


class Expressions(TypedDict, total=False):
    """The condition of a write, and the placeholders in its condition and update expression."""

    condition: str | None
    values: Mapping[str, Any]
    """Values of placeholders such as `:time`."""
    names: Mapping[str, str]
    """Attribute names for placeholders such as `#name`, because DynamoDB reserves some words."""
    return_existing: bool
    """If True, the error of a failed transaction contains the existing item, to save a read."""


class Table:
    """A DynamoDB table.

    `put`, `update` and `delete` write immediately. Each has a `build_` counterpart that returns the
    same write as an entry for a transaction (`transactions.Transactions`).

    All writes raise ConditionFailedError if their condition is not met, and Problem 503 if they
    conflict with transactions for too long. Batches raise Problem 503 if DynamoDB leaves keys
    unprocessed for too long.
    """

    def __init__(self, dynamodb: "DynamoDBClient", name: str, sleep: Sleep = time.sleep) -> None:
        self.client = dynamodb
        self.name = name
        self.sleep = sleep

    def get(
        self, key: Key, attributes: Iterable[str] = (), *, consistent: bool = True
    ) -> Item | None:
        """Returns the item, with only `attributes` if given, or None if it does not exist."""
        arguments: Any = {"Key": pack(key), "ConsistentRead": consistent, **_projection(attributes)}
        item = self.client.get_item(TableName=self.name, **arguments).get("Item")
        return unpack(item) if item else None

    def get_many(
        self, keys: Sequence[Key], attributes: Iterable[str] = (), *, consistent: bool = True
    ) -> list[Item | None]:
        """Returns the items of these keys in the same order, with None for missing items.

        Makes one call per 100 keys.

        Args:
            keys: The keys of the items to read.
            attributes: Limits the items to these attributes and the key.
            consistent: Whether to return the latest state, which costs twice as much.
        """
        return get_from_tables([(self, key) for key in keys], attributes, consistent=consistent)

    def query(
        self,
        condition: str,
        values: Mapping[str, Any],
        *,
        names: Mapping[str, str] | None = None,
        where: str | None = None,
        index: str | None = None,
        attributes: Iterable[str] = (),
        start_after: Key | None = None,
        page_size: int | None = None,
        consistent: bool = False,
        newest_first: bool = False,
    ) -> Iterator[Item]:
        """Yields the items of a partition in the order of their sort key. Reads pages as needed.

        Args:
            condition: The key condition.
            values: Values of the placeholders in `condition` and `where`.
            names: Attribute names of placeholders.
            where: A filter on attributes that are not part of the key.
            index: The index to query instead of the table.
            attributes: Limits the items to these attributes.
            start_after: The key of the item that precedes the first result.
            page_size: Maximum items that one call reads, before the filter.
            consistent: Whether to return the latest state. Indexes do not support this.
            newest_first: Whether to return the highest sort keys first.
        """
        projection = _projection(attributes)
        names = {**projection.pop("ExpressionAttributeNames", {}), **(names or {})}
        arguments: dict[str, Any] = {
            "KeyConditionExpression": condition,
            "ScanIndexForward": not newest_first,
            **_options({"values": values, "names": names}),
            **projection,
        }
        optional = {
            "ConsistentRead": consistent or None,
            "FilterExpression": where,
            "IndexName": index,
            "Limit": page_size,
            "ExclusiveStartKey": pack(start_after) if start_after else None,
        }
        arguments |= {name: value for name, value in optional.items() if value is not None}
        return self._pages(self.client.query, arguments)

    def scan(
        self, where: str, values: Mapping[str, Any], attributes: Iterable[str] = ()
    ) -> Iterator[Item]:
        """Yields the items of the table that match a filter. Reads consistently."""
        arguments = {"FilterExpression": where, "ConsistentRead": True, **_projection(attributes)}
        return self._pages(self.client.scan, arguments | _options({"values": values}))

    def put(self, item: Mapping[str, Any], **expressions: Unpack[Expressions]) -> None:
        """Writes an item. Replaces an existing item with the same key."""
        self._write(self.client.put_item, self.build_put(item, **expressions)["Put"])

    def update(
        self,
        key: Key,
        expression: str,
        *,
        returns: Literal["NONE", "UPDATED_NEW", "ALL_NEW"] = "NONE",
        **expressions: Unpack[Expressions],
    ) -> Item:
        """Updates or creates an item. Returns the attributes that `returns` selects, or {}."""
        update = self.build_update(key, expression, **expressions)["Update"]
        return self._write(self.client.update_item, update, ReturnValues=returns)

    def delete(
        self,
        key: Key,
        *,
        returns: Literal["NONE", "ALL_OLD"] = "NONE",
        **expressions: Unpack[Expressions],
    ) -> Item:
        """Deletes an item if it exists. Returns the deleted item if `returns` is `ALL_OLD`."""
        delete = self.build_delete(key, **expressions)["Delete"]
        return self._write(self.client.delete_item, delete, ReturnValues=returns)

    def delete_many(self, keys: Iterable[Key]) -> None:
        """Deletes the items that exist, with one call per 25 keys. The keys must be distinct."""
        remaining = iter(keys)
        while chunk := list(islice(remaining, BATCH_WRITE)):
            requests: Any = {self.name: [{"DeleteRequest": {"Key": pack(key)}} for key in chunk]}
            for _ in attempts(self.sleep):
                requests = self.client.batch_write_item(RequestItems=requests)["UnprocessedItems"]
                if not requests:
                    break

    def build_put(self, item: Mapping[str, Any], **expressions: Unpack[Expressions]) -> Entry:
        return {"Put": {"TableName": self.name, "Item": pack(item), **_options(expressions)}}

    def build_update(self, key: Key, expression: str, **expressions: Unpack[Expressions]) -> Entry:
        update = {"TableName": self.name, "Key": pack(key), "UpdateExpression": expression}
        return {"Update": update | _options(expressions)}

    def build_delete(self, key: Key, **expressions: Unpack[Expressions]) -> Entry:
        return {"Delete": {"TableName": self.name, "Key": pack(key), **_options(expressions)}}

    def build_check(self, key: Key, **expressions: Unpack[Expressions]) -> Entry:
        """Returns an entry that makes its transaction fail if the condition is not met.

        The entry writes nothing.
        """
        check = {"TableName": self.name, "Key": pack(key), **_options(expressions)}
        return {"ConditionCheck": check}

    def _pages(self, call: Callable[..., Any], arguments: dict[str, Any]) -> Iterator[Item]:
        while True:
            page = call(TableName=self.name, **arguments)
            yield from map(unpack, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            arguments = {**arguments, "ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _write(self, call: Callable[..., Any], arguments: Mapping[str, Any], **more: Any) -> Item:
        try:
            result = retry_conflicts(lambda: call(**arguments, **more), self.sleep)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise ConditionFailedError from None
            raise
        return unpack(result.get("Attributes", {}))


def get_from_tables(
    keys: Sequence[tuple[Table, Key]], attributes: Iterable[str] = (), *, consistent: bool = True
) -> list[Item | None]:
    """Returns the items of these keys, which may be in several tables. See `Table.get_many`."""
    if not keys:
        return []
    client, sleep = keys[0][0].client, keys[0][0].sleep
    key_names = {table.name: tuple(key) for table, key in keys}
    distinct = list({_identity(table.name, key): (table, key) for table, key in keys}.values())
    attributes = tuple(attributes)
    items: dict[object, Item] = {}
    for start in range(0, len(distinct), BATCH_GET):
        requests: Any = {}
        for table, key in distinct[start : start + BATCH_GET]:
            options = _projection([*key, *attributes] if attributes else ())
            request = {"Keys": [], "ConsistentRead": consistent, **options}
            requests.setdefault(table.name, request)["Keys"].append(pack(key))
        for _ in attempts(sleep):
            result = client.batch_get_item(RequestItems=requests)
            for name, packed_items in result["Responses"].items():
                for item in map(unpack, packed_items):
                    items[_identity(name, {n: item[n] for n in key_names[name]})] = item
            requests = result["UnprocessedKeys"]
            if not requests:
                break
    return [items.get(_identity(table.name, key)) for table, key in keys]


def _identity(table: str, key: Key) -> object:
    return table, frozenset(key.items())


def _options(expressions: Expressions) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if condition := expressions.get("condition"):
        options["ConditionExpression"] = condition
    if values := expressions.get("values"):
        options["ExpressionAttributeValues"] = pack(values)
    if names := expressions.get("names"):
        options["ExpressionAttributeNames"] = dict(names)
    if expressions.get("return_existing"):
        options["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return options


def _projection(attributes: Iterable[str]) -> dict[str, Any]:
    names = {f"#{index}": name for index, name in enumerate(dict.fromkeys(attributes))}
    if not names:
        return {}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value
