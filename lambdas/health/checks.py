"""Checks side by side under one deadline, and their result for a few seconds."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

from lambdas.common.logs import Logger

Check = Callable[[], None]
"""Raises when what it checks does not answer as it should."""

OK = "ok"
FAILED = "failed"
TIMED_OUT = "timed out"

DEADLINE = 1.5
"""Seconds the checks have together: /health promises an answer within 2."""

MAX_AGE = 5.0
"""Seconds a result is given again, so that asking often does not load what is checked."""


class Checks:
    """Runs the checks in parallel and remembers their results; many may ask at once, only one run is made."""

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

    def results(self) -> dict[str, str]:
        """OK, FAILED or TIMED_OUT by check, at most MAX_AGE seconds old; takes DEADLINE seconds at most."""
        with self._lock:  # whoever waits here finds the result of whoever was first
            if self._monotonic() - self._checked_at >= self._max_age:
                self._results = self._run()
                self._checked_at = self._monotonic()
            return dict(self._results)

    def _run(self) -> dict[str, str]:
        # A check that still hangs from an earlier run is waited for, not started again: threads cannot be stopped.
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
    """Runs the check in a daemon thread: an executor's threads would hold up the end of the process."""
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
