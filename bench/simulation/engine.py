"""A small discrete-event simulation: processes that wait, servers with queues, and throttles."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

Process = Iterator[float]
"""A generator that yields the number of seconds until it is continued."""


class Simulation:
    """Runs processes in the order of simulated time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, Process]] = []
        self._order = count()

    def start(self, process: Process, delay: float = 0.0) -> None:
        """Lets a process begin after `delay` seconds."""
        heapq.heappush(self._waiting, (self.now + delay, next(self._order), process))

    def run(self, until: float = float("inf")) -> None:
        """Continues processes until the time `until`, or until all have ended."""
        while self._waiting and self._waiting[0][0] <= until:
            self.now, _, process = heapq.heappop(self._waiting)
            wait = next(process, None)
            if wait is not None:
                self.start(process, wait)


class Queue:
    """A server that handles one request at a time, in the order of their arrival."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._free_at = 0.0
        self.busy = 0.0
        """The seconds that the server has worked so far."""

    def work(self, seconds: float) -> float:
        """Queues a request that takes `seconds`. Returns the seconds until it is complete."""
        begin = max(self._simulation.now, self._free_at)
        self._free_at = begin + seconds
        self.busy += seconds
        return self._free_at - self._simulation.now


class Slots:
    """A Lambda function that runs at most `limit` executions at the same time, and rejects
    others.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.used = 0

    def take(self) -> bool:
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def free(self) -> None:
        self.used -= 1


class Throttle:
    """A token bucket, with which API Gateway, Cognito and DynamoDB's partitions limit requests."""

    def __init__(self, simulation: Simulation, rate: float, burst: float | None = None) -> None:
        """`burst` is the maximum number of unused tokens (default: the tokens of one second)."""
        self._simulation, self._rate = simulation, rate
        self._burst = self._tokens = rate if burst is None else burst
        self._at = 0.0

    def take(self, tokens: float = 1.0) -> bool:
        now = self._simulation.now
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True
