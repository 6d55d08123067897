"""DynamoDB transactions that are retried on conflicts, for example on a busy counter."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Entry = dict[str, Any]
"""One entry of TransactWriteItems: Put, Update, Delete or ConditionCheck."""

MAX_ENTRIES = 100
"""Maximum entries of one transaction (DynamoDB)."""

_FIRST_PAUSE, _LONGEST_PAUSE, _TRIES = 0.02, 1.0, 12
"""Seconds, and a number of attempts. Each pause is random below a bound that doubles: at most 7 s
in total and half on average, of the 29 s per request. Enough for 100 writers of one counter."""

_RETRYABLE = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class ConditionsFailedError(Exception):
    """Nothing was written because conditions were not met.

    `entries` are the indexes of the failed entries. `items` has the existing items by index, for
    entries with ReturnValuesOnConditionCheckFailure.
    """

    def __init__(self, entries: frozenset[int], items: Mapping[int, dict[str, Any]] = {}) -> None:
        super().__init__(f"the conditions of entries {sorted(entries)} were not met")
        self.entries = entries
        self.items = items


class Transactions:
    """Writes several entries atomically."""

    def __init__(
        self, dynamodb: "DynamoDBClient", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._dynamodb = dynamodb
        self._sleep = sleep

    def write(self, entries: Sequence[Entry]) -> None:
        """Writes all entries (at most 100) or none, and retries on conflicts and throttling.

        Raises ConditionsFailedError, and Problem 503 if all attempts conflict.
        """
        for attempt in range(_TRIES):
            try:
                # botocore adds a client request token, so its own retries are idempotent.
                self._dynamodb.transact_write_items(TransactItems=entries)  # type: ignore[arg-type]
                return
            except ClientError as error:
                reasons = _reasons(error)
                codes = [reason.get("Code") for reason in reasons]
                failed = frozenset(
                    index for index, code in enumerate(codes) if code == "ConditionalCheckFailed"
                )
                if failed:
                    items = {
                        index: unpack(item)
                        for index in failed
                        if (item := reasons[index].get("Item"))
                    }
                    raise ConditionsFailedError(failed, items) from None
                if not _RETRYABLE.intersection(codes):
                    raise
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
            self._sleep(random.uniform(0, longest))  # noqa: S311 (not a secret)
        raise Problem.unavailable()


def _reasons(error: ClientError) -> list[dict[str, Any]]:
    """Returns the cancellation reason of each entry in order; empty for other errors."""
    reasons: Any = error.response.get("CancellationReasons", [])
    return list(reasons)
