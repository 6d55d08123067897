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
"""Pauses in seconds, and the number of attempts. Pauses are random, and their maximum doubles up to
_LONGEST_PAUSE. All pauses together take at most 6.3 s, on average 3.1 s. This is enough for 100
concurrent writers of one counter."""

_RETRYABLE = {
    # The error code of a write outside a transaction
    "TransactionConflictException",
    # Reasons for canceling a transaction
    "TransactionConflict",
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
    """Calls `write` again while it conflicts with other writes. Returns its result.

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
