"""Reads DynamoDB tables: items by key, by index, or the first items."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from ops.errors import OperatorError
from ops.inspection.masking import MASK
from ops.web_console.source import Source

ITEMS_PER_PAGE = 50
"""Maximum items that one request reads. It limits the cost of reading a large table."""
PRIVATE_TABLES = ("platform-authors", "platform-idempotency", "chat-tickets")
"""Tables that contain private data: authors of anonymous posts, stored responses and tickets.

The console shows only their keys.
"""


def list_tables(source: Source) -> list[dict[str, Any]]:
    """Returns each table with its keys, indexes, TTL attribute and approximate size."""
    return [_describe(source, key) for key in sorted(source.outputs()["tables"])]


def _describe(source: Source, key: str) -> dict[str, Any]:
    name = source.name("tables", key)
    dynamodb = source.client("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return {
        "key": key,
        "name": name,
        "keys": _keys(table),
        "indexes": {
            index["IndexName"]: _keys(index) for index in table.get("GlobalSecondaryIndexes", [])
        },
        "types": {
            item["AttributeName"]: item["AttributeType"] for item in table["AttributeDefinitions"]
        },
        "ttl": expiry.get("AttributeName"),
        "items": table.get("ItemCount"),
    }


def _keys(schema: dict[str, Any]) -> list[str]:
    order = sorted(schema["KeySchema"], key=lambda item: str(item["KeyType"]))
    return [item["AttributeName"] for item in order]  # HASH sorts before RANGE


def read_items(
    source: Source, key: str, *, index: str = "", hash_value: str = "", range_value: str = ""
) -> dict[str, Any]:
    """Returns at most ITEMS_PER_PAGE items of a table.

    Args:
        index: The index to query. Empty for the table itself.
        hash_value: The hash key's value. Empty to read the first items.
        range_value: The range key's value, or its beginning if it is a string. Empty for all.

    Raises:
        OperatorError: The table or the index does not exist, or a value has the wrong type.
    """
    table = _describe(source, key)
    keys = table["indexes"].get(index) if index else table["keys"]
    if keys is None:
        raise OperatorError(f"{key} has no index {index}: use one of {', '.join(table['indexes'])}")
    arguments: dict[str, Any] = {"TableName": table["name"], "Limit": ITEMS_PER_PAGE}
    if index:
        arguments["IndexName"] = index
    if hash_value:
        arguments |= {
            "KeyConditionExpression": "#h = :h",
            "ExpressionAttributeNames": {"#h": keys[0]},
            "ExpressionAttributeValues": {":h": _value(table, keys[0], hash_value)},
        }
        if range_value and len(keys) > 1:
            is_text = table["types"][keys[1]] == "S"
            condition = "begins_with(#r, :r)" if is_text else "#r = :r"
            arguments["KeyConditionExpression"] += f" AND {condition}"
            arguments["ExpressionAttributeNames"]["#r"] = keys[1]
            arguments["ExpressionAttributeValues"][":r"] = _value(table, keys[1], range_value)
    dynamodb = source.client("dynamodb")
    response = (dynamodb.query if hash_value else dynamodb.scan)(**arguments)
    deserialize = TypeDeserializer().deserialize
    items = [
        {name: deserialize(value) for name, value in item.items()} for item in response["Items"]
    ]
    if key in PRIVATE_TABLES:
        items = [
            {
                name: value if name in table["keys"] or name == table["ttl"] else MASK
                for name, value in item.items()
            }
            for item in items
        ]
    return {**table, "rows": items, "isComplete": "LastEvaluatedKey" not in response}


def _value(table: dict[str, Any], name: str, text: str) -> dict[str, str]:
    kind = table["types"][name]
    if kind == "N":
        try:
            Decimal(text)
        except InvalidOperation as error:
            raise OperatorError(
                f"{text!r} is not a number: enter a number for {name}, for example 42"
            ) from error
    return {kind: text}
