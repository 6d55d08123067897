"""Converts items of DynamoDB's low-level client, and reads and deletes items in batches.

The resource interface is not used: it adds 60 ms to a cold start.
"""

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
"""Maximum keys in one BatchGetItem call."""

BATCH_WRITE = 25
"""Maximum requests in one BatchWriteItem call."""

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each retry of unprocessed keys or requests; 1.55 s in total."""

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def pack(values: Mapping[str, Any]) -> dict[str, Any]:
    """Converts plain values (str, int, bool, None, bytes, lists, maps) to attribute values."""
    return {name: _serializer.serialize(value) for name, value in values.items()}


def unpack(item: Mapping[str, Any]) -> dict[str, Any]:
    """Converts attribute values to plain values. Numbers become int if whole, else float."""
    return {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}


def condition_failed(error: ClientError) -> bool:
    """Returns True if a write was rejected because its condition was not met."""
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
    """Returns these attributes of the existing items, in any order.

    Makes one call per 100 keys. `keys` are plain values without duplicates. `consistent` reads cost
    twice as much. Raises Problem 503 if DynamoDB still leaves keys unprocessed after all retries.
    """
    names = {f"#{index}": attribute for index, attribute in enumerate(attributes)}
    options: dict[str, Any] = {
        "ProjectionExpression": ", ".join(names),
        "ExpressionAttributeNames": names,
        "ConsistentRead": consistent,
    }
    items: list[dict[str, Any]] = []
    packed = [pack(key) for key in keys]
    for start in range(0, len(packed), BATCH_GET):
        requests: Any = {table: {"Keys": packed[start : start + BATCH_GET], **options}}
        for pause in (*_PAUSES, None):
            result = dynamodb.batch_get_item(RequestItems=requests)
            items += [unpack(item) for item in result["Responses"].get(table, [])]
            requests = result["UnprocessedKeys"]
            if not requests:
                break
            if pause is None:
                raise Problem.unavailable()
            sleep(pause)
    return items


def batch_delete(
    dynamodb: "DynamoDBClient",
    table: str,
    keys: Iterable[Mapping[str, Any]],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Deletes these items and ignores missing ones. `keys` are plain values without duplicates.

    Makes one call per 25 keys. Raises Problem 503 if requests stay unprocessed after all retries.
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
