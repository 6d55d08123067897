"""Limits the number of attempts in a rolling window, even if requests are concurrent."""

import hashlib
import math
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from lambdas.common.clock import CLOCK_SKEW, SYSTEM_CLOCK, Clock
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import Table, succeeds
from lambdas.common.storage.retries import Sleep

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WAIT_LIMIT = 10_000
"""Milliseconds for which a request waits for concurrent requests of the same subject, such as an
email address. API Gateway waits 29 s for the response."""

LEASE_MILLISECONDS = 35_000
"""Milliseconds after which an unfinished attempt counts as crashed. The Lambda function runs up
to 30 s."""

_PAUSE = 0.1
"""Seconds, on average, until a waiting request reads the counter again. A sign-in takes about
0.3 s."""


class Limit(Struct, frozen=True):
    """Allows `attempts` per subject in any `window` seconds. Each `name` has separate counters."""

    name: str
    attempts: int
    window: int


class Attempt(Struct, frozen=True):
    """An attempt whose outcome is not known yet. `at` is in milliseconds since the epoch."""

    limit: Limit
    key: str
    at: int


class _Counter(Struct, frozen=True):
    """The attempts of one subject. Times are in milliseconds since the epoch."""

    revision: int
    attempts: tuple[int, ...]
    """Start times of the attempts that count towards the limit."""
    running: tuple[int, ...]
    """Start times of the attempts that have not ended yet."""


class RateLimiter:
    """Counts attempts in a table.

    `count` counts every attempt. `begin` and `end` count an attempt only if it failed. While
    counted and running attempts together reach the limit, `begin` waits until running attempts
    end. Concurrent guesses therefore cannot exceed the limit, and concurrent attempts with the
    correct password wait instead of failing.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        *,
        enabled: bool,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._table = Table(dynamodb, table)
        self._enabled = enabled
        self._clock = clock
        self._sleep = sleep

    def count(self, limit: Limit, *subject: str) -> None:
        """Counts one attempt. Raises Problem 429 with Retry-After if the limit is reached.

        Stores only a hash of the subject, for example of a network address and an email.
        """

        def counted(counter: _Counter, now: int) -> _Counter:
            return structs.replace(counter, attempts=(*counter.attempts, now))

        self._change(limit, _key(limit, subject), counted)

    def begin(self, limit: Limit, *subject: str) -> Attempt:
        """Starts an attempt, whose outcome the caller must report with `end`.

        Raises Problem 429 with Retry-After if the limit is reached, or 503 if running attempts
        do not end within WAIT_LIMIT milliseconds.
        """

        def started(counter: _Counter, now: int) -> _Counter | None:
            if len(counter.attempts) + len(counter.running) >= limit.attempts:
                return None
            return structs.replace(counter, running=(*counter.running, now))

        key = _key(limit, subject)
        return Attempt(limit, key, self._change(limit, key, started))

    def end(self, attempt: Attempt, *, failed: bool) -> None:
        """Ends an attempt. Counts it if it failed.

        If the table cannot be written, the attempt counts as running until LEASE_MILLISECONDS
        after its start.
        """

        def ended(counter: _Counter, _now: int) -> _Counter:
            running = list(counter.running)
            if attempt.at in running:
                running.remove(attempt.at)
            attempts = (*counter.attempts, attempt.at) if failed else counter.attempts
            return structs.replace(counter, running=tuple(running), attempts=attempts)

        self._change(attempt.limit, attempt.key, ended, limited=False)

    def _change(
        self,
        limit: Limit,
        key: str,
        change: Callable[[_Counter, int], _Counter | None],
        *,
        limited: bool = True,
    ) -> int:
        """Replaces a counter with the result of `change`, and returns the time of the change.

        Waits while `change` returns None, and while other requests write the counter.
        """
        now = started = int(self._clock() * 1000)
        while self._enabled and now - started <= WAIT_LIMIT:
            counter = self._read(key, limit, now)
            if limited and len(counter.attempts) >= limit.attempts:
                free_at = sorted(counter.attempts)[-limit.attempts] + limit.window * 1000
                raise Problem.too_many_requests(max(1, math.ceil((free_at - now) / 1000)))
            changed = change(counter, now)
            if changed and self._write(
                key, changed, now // 1000 + limit.window + LEASE_MILLISECONDS // 1000
            ):
                return now
            self._sleep(random.uniform(0, 2 * _PAUSE))  # noqa: S311 (not a secret)
            now = int(self._clock() * 1000)
        if self._enabled and limited:
            raise Problem.unavailable()
        return now

    def _read(self, key: str, limit: Limit, now: int) -> _Counter:
        """Returns the stored counter of a limit.

        Omits crashed attempts, and attempts before the current window. Also omits attempts more
        than CLOCK_SKEW seconds in the future. They come from a Lambda execution environment with a
        wrong clock.
        """
        item = self._table.get({"limit_key": key}) or {}
        latest = now + CLOCK_SKEW * 1000
        return _Counter(
            item.get("revision", 0),
            tuple(
                at for at in item.get("attempts", ()) if now - limit.window * 1000 < at <= latest
            ),
            tuple(at for at in item.get("running", ()) if now - LEASE_MILLISECONDS < at <= latest),
        )

    def _write(self, key: str, counter: _Counter, expires_at: int) -> bool:
        """Stores the counter of a limit. Returns False if another request wrote it since it was
        read.
        """
        values: dict[str, object] = {
            ":next": counter.revision + 1,
            ":attempts": list(counter.attempts),
            ":running": list(counter.running),
            ":expires_at": expires_at,
        }
        unchanged = "attribute_not_exists(revision)"
        if counter.revision:
            values[":read"], unchanged = counter.revision, "revision = :read"
        return succeeds(
            lambda: self._table.update(
                {"limit_key": key},
                "SET attempts = :attempts, running = :running, revision = :next, "
                "expires_at = :expires_at",
                condition=unchanged,
                values=values,
            )
        )


def _key(limit: Limit, subject: tuple[str, ...]) -> str:
    return f"{limit.name}#{hashlib.sha256(chr(0).join(subject).encode()).hexdigest()}"
