"""The post service's tables, buckets and parameters on moto."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3
import pytest

from modules.tables import TABLES
from tests.lambdas.support import REGION
from tests.lambdas.tables import table_arguments

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
    """Creates the tables as the platform defines them. Their names contain no environment."""
    for definition in TABLES:
        if definition.name in USED:
            dynamodb.create_table(**table_arguments(definition))
    return {name: name for name in USED}


@pytest.fixture
def bucket(aws: None) -> str:
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET)
    return BUCKET
