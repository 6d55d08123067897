"""Items of DynamoDB's low-level client as plain values (the resource interface costs a cold start 60 ms more)."""

import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from lambdas.common.problems import Problem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_GET = 100
"""Keys in one BatchGetItem at most."""

BATCH_WRITE = 25
"""Requests in one BatchWriteItem at most."""

_PAUSES = (
    0.05,
    0.1,
    0.2,
    0.4,
    0.8,
)  # seconds before what DynamoDB left over is asked for again; 1.55 s in all

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def pack(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values (str, int, bool, None, bytes, lists, maps) as attribute values."""
    return {name: _serializer.serialize(value) for name, value in values.items()}


def unpack(item: Mapping[str, Any]) -> dict[str, Any]:
    """Attribute values as plain ones; a number becomes an int where it is whole, else a float."""
    return {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}


def condition_failed(error: ClientError) -> bool:
    """Whether a write was refused by its own condition, as opposed to having gone wrong."""
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def batch_get(
    dynamodb: "DynamoDBClient",
    table: str,
    keys: Iterable[Mapping[str, Any]],
    attributes: Iterable[str],
    *,
    consistent: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> list[dict[str, Any]]:
    """These attributes of the items that are there, in any order; `keys` are plain values, each of them once.

    One call for each 100 keys. `consistent` reads what was written a moment ago, at twice the price. Raises Problem 503 when
    DynamoDB keeps leaving some over.
    """
    names = {f"#{index}": attribute for index, attribute in enumerate(attributes)}
    wanted: dict[str, Any] = {
        "ProjectionExpression": ", ".join(names),
        "ExpressionAttributeNames": names,
        "ConsistentRead": consistent,
    }
    found: list[dict[str, Any]] = []
    packed = [pack(key) for key in keys]
    for start in range(0, len(packed), BATCH_GET):
        requests: Any = {table: {"Keys": packed[start : start + BATCH_GET], **wanted}}
        for pause in (*_PAUSES, None):
            answer = dynamodb.batch_get_item(RequestItems=requests)
            found += [unpack(item) for item in answer["Responses"].get(table, [])]
            requests = answer["UnprocessedKeys"]
            if not requests:
                break
            if pause is None:
                raise Problem.unavailable()
            sleep(pause)
    return found


def batch_delete(
    dynamodb: "DynamoDBClient",
    table: str,
    keys: Iterable[Mapping[str, Any]],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Deletes these items, if they are there; `keys` are plain values, each of them once.

    One call for each 25 keys. Raises Problem 503 when DynamoDB keeps leaving some over.
    """
    deletes: list[Any] = [{"DeleteRequest": {"Key": pack(key)}} for key in keys]
    for start in range(0, len(deletes), BATCH_WRITE):
        requests: Any = {table: deletes[start : start + BATCH_WRITE]}
        for pause in (*_PAUSES, None):
            requests = dynamodb.batch_write_item(RequestItems=requests)["UnprocessedItems"]
            if not requests:
                break
            if pause is None:
                raise Problem.unavailable()
            sleep(pause)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value
