"""Runs health checks in parallel with one deadline, and caches the results."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

from lambdas.common.logs import Logger

Check = Callable[[], None]
"""A function that raises an exception if a dependency is unhealthy."""

OK = "ok"
FAILED = "failed"
TIMED_OUT = "timed out"

DEADLINE = 1.5
"""Maximum seconds for all checks together. The specification limits a response to 2 seconds."""

MAX_AGE = 5.0
"""Seconds for which results are cached, so that requests do not overload the dependencies."""


class Checks:
    """Runs checks in parallel and caches the results. Concurrent callers share one run."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        logger: Logger,
        *,
        deadline: float = DEADLINE,
        max_age: float = MAX_AGE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._logger = logger
        self._deadline = deadline
        self._max_age = max_age
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._hung: dict[str, Future[None]] = {}
        self._results: dict[str, str] = {}
        self._checked_at = float("-inf")

    def get_results(self) -> dict[str, str]:
        """Returns OK, FAILED or TIMED_OUT for each check, within the deadline."""
        with self._lock:  # callers that wait here get the results of the first caller
            if self._monotonic() - self._checked_at >= self._max_age:
                self._results = self._run()
                self._checked_at = self._monotonic()
            return dict(self._results)

    def _run(self) -> dict[str, str]:
        # A check that still hangs is not started again, because a thread cannot be stopped.
        hung = {name: future for name, future in self._hung.items() if not future.done()}
        futures = {
            name: hung.get(name) or _start(name, check) for name, check in self._checks.items()
        }
        wait(futures.values(), timeout=self._deadline)
        self._hung = {name: future for name, future in futures.items() if not future.done()}
        return {name: self._outcome(name, future) for name, future in futures.items()}

    def _outcome(self, name: str, future: "Future[None]") -> str:
        if not future.done():
            self._logger.error("health check timed out", check=name, seconds=self._deadline)
            return TIMED_OUT
        error = future.exception()
        if error is not None:
            self._logger.error("health check failed", check=name, exc_info=error)
            return FAILED
        return OK


def _start(name: str, check: Check) -> "Future[None]":
    """Runs the check in a daemon thread, because an executor's threads delay the process exit."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            check()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name=f"check-{name}", daemon=True).start()
    return future
