"""DynamoDB transactions. Each write has a name, so that an error reports which writes failed."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lambdas.common.storage.dynamodb import ConditionFailedError, Entry, unpack
from lambdas.common.storage.retries import Sleep, cancellation_reasons, retry_conflicts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_ENTRIES = 100
"""Maximum entries of one transaction (DynamoDB)."""


class Transactions:
    """Writes to several items and tables that succeed or fail together."""

    def __init__(self, dynamodb: "DynamoDBClient", sleep: Sleep = time.sleep) -> None:
        self._dynamodb = dynamodb
        self._sleep = sleep

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Writes all entries or none, and retries conflicts with other writes.

        Args:
            entries: Up to 100 entries by name, created with the `build_` methods of Table.

        Raises:
            ConditionFailedError: Conditions of entries were not met. Contains the entries' names.
            Problem: 503 if all attempts conflict.
        """
        items: Any = list(entries.values())
        try:
            # botocore adds a client request token, so the retries of botocore are idempotent.
            retry_conflicts(
                lambda: self._dynamodb.transact_write_items(TransactItems=items), self._sleep
            )
        except ClientError as error:
            failed = {
                name: unpack(reason.get("Item", {}))
                for name, reason in zip(entries, cancellation_reasons(error), strict=False)
                if reason.get("Code") == "ConditionalCheckFailed"
            }
            if failed:
                raise ConditionFailedError(failed) from None
            raise
