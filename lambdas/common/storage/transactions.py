"""DynamoDB transactions that meet others on their way: a counter that many change at once makes them collide, which is no failure."""

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
"""One entry of TransactWriteItems: a Put, an Update, a Delete or a ConditionCheck."""

MAX_ENTRIES = 100
"""Entries of one transaction at most."""

_FIRST_PAUSE, _LONGEST_PAUSE, _TRIES = 0.02, 1.0, 12
"""Seconds; a pause is chosen at random below a bound that doubles. 7 s at most and half of that on average, of the 29 s that a
request has: enough for a hundred writers of one counter."""

_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class ConditionsFailedError(Exception):
    """Nothing was written, since conditions did not hold. `entries` are the indexes of theirs; `items` has what is there instead,
    for those that ask for it (ReturnValuesOnConditionCheckFailure) and where there is something."""

    def __init__(self, entries: frozenset[int], items: Mapping[int, dict[str, Any]] = {}) -> None:
        super().__init__(f"the conditions of entries {sorted(entries)} do not hold")
        self.entries = entries
        self.items = items


class Transactions:
    """Writes that happen altogether or not at all."""

    def __init__(
        self, dynamodb: "DynamoDBClient", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._dynamodb = dynamodb
        self._sleep = sleep

    def write(self, entries: Sequence[Entry]) -> None:
        """Writes all entries (100 at most), again and again while other writers are in the way.

        Raises ConditionsFailedError, and Problem 503 when they stay in the way.
        """
        for attempt in range(_TRIES):
            try:
                # botocore adds a token, so that its own repetition after a lost answer writes once.
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
                if not _PASSING.intersection(codes):
                    raise
            self._sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)))  # noqa: S311 (no secret)
        raise Problem.unavailable()


def _reasons(error: ClientError) -> list[dict[str, Any]]:
    """Why each entry was refused, in the entries' order; empty for any other error."""
    reasons: Any = error.response.get("CancellationReasons", [])
    return list(reasons)
