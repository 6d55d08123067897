"""Converts the platform's table definitions to arguments of DynamoDB's CreateTable."""

from typing import Any

from modules.base.table import TableDefinition


def table_arguments(definition: TableDefinition) -> dict[str, Any]:
    """Returns the arguments that create a table.

    The name of the table does not contain an environment.
    """
    keys = {definition.hash_key, definition.range_key}
    keys |= {key for index in definition.indexes for key in (index.hash_key, index.range_key)}
    arguments: dict[str, Any] = {
        "TableName": definition.name,
        "KeySchema": _schema(definition.hash_key, definition.range_key),
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": "S"} for key in sorted(filter(None, keys))
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if definition.indexes:
        arguments["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _schema(index.hash_key, index.range_key),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in definition.indexes
        ]
    return arguments


def _schema(hash_key: str, range_key: str | None) -> list[dict[str, str]]:
    schema = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return schema + ([{"AttributeName": range_key, "KeyType": "RANGE"}] if range_key else [])
