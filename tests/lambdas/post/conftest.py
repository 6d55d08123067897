"""The post service's tables, buckets and parameters in an in-process AWS."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from modules.base.table import TableDefinition
from modules.tables import TABLES
from tests.lambdas.support import REGION

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

USED = (
    "auth-sessions",
    "platform-authors",
    "platform-idempotency",
    "platform-outbox",
    "post-comments",
    "post-counters",
    "post-likes",
    "post-posts",
    "post-tags",
    "profile-aliases",
    "profile-profiles",
)
BUCKET = "attachments"


@pytest.fixture
def tables(dynamodb: "DynamoDBClient") -> Mapping[str, str]:
    """The tables as the platform defines them, by name without environment."""
    for definition in TABLES:
        if definition.name in USED:
            dynamodb.create_table(**_table(definition))
    return {name: name for name in USED}


def _table(definition: TableDefinition) -> dict[str, Any]:
    keys = {definition.hash_key, definition.range_key}
    keys |= {key for index in definition.indexes for key in (index.hash_key, index.range_key)}
    made: dict[str, Any] = {
        "TableName": definition.name,
        "KeySchema": _schema(definition.hash_key, definition.range_key),
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": "S"} for key in sorted(filter(None, keys))
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if definition.indexes:
        made["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _schema(index.hash_key, index.range_key),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in definition.indexes
        ]
    return made


def _schema(hash_key: str, range_key: str | None) -> list[dict[str, str]]:
    schema = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return schema + ([{"AttributeName": range_key, "KeyType": "RANGE"}] if range_key else [])


@pytest.fixture
def bucket(aws: None) -> str:
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET)
    return BUCKET
