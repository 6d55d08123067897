"""The retry policy for DynamoDB.

This module retries writes that conflict with a transaction, and keys that a batch leaves
unprocessed. botocore retries only network errors, throttling and errors of the server, once
(`clients.client_config`).
"""

import random
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from lambdas.common.problems import Problem

T = TypeVar("T")

Sleep = Callable[[float], None]
"""A function that waits for a number of seconds."""

_FIRST_PAUSE, _LONGEST_PAUSE, _ATTEMPTS = 0.02, 1.0, 12
"""Pauses in seconds, and the number of attempts. Pauses are random, and their maximum doubles. All
pauses take up to 7 s in total, on average 3.5 s: enough for 100 writers of one counter."""

_RETRYABLE = {
    "TransactionConflictException",  # the error code of a single write
    "TransactionConflict",  # like the codes below, a reason for canceling a transaction
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
}


def attempts(sleep: Sleep) -> Iterator[None]:
    """Yields once per attempt, with pauses in between. Then raises Problem 503."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
            sleep(random.uniform(0, longest))  # noqa: S311 (not a secret)
        yield
    raise Problem.unavailable()


def retry_conflicts(write: Callable[[], T], sleep: Sleep) -> T:
    """Returns the result of `write`, which is repeated while it conflicts with other writes.

    Raises Problem 503 if all attempts conflict. Propagates other errors.
    """
    for _ in attempts(sleep):
        try:
            return write()
        except ClientError as error:
            codes = {reason.get("Code") for reason in cancellation_reasons(error)}
            codes.add(error.response["Error"]["Code"])
            if "ConditionalCheckFailed" in codes or codes.isdisjoint(_RETRYABLE):
                raise
    raise AssertionError("unreachable: attempts() raises after the last attempt")


def cancellation_reasons(error: ClientError) -> list[dict[str, Any]]:
    """Returns the reason for each write of a canceled transaction, or [] for other errors."""
    reasons: Any = error.response.get("CancellationReasons", [])
    return list(reasons)
