"""Lets tests on several workers use one platform at the same time.

Most tests can run in parallel. A test marked `exclusive` runs alone, because it stops a part of the
platform, changes the configuration, or counts requests that all tests send.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_for


class Sharing:
    """Locks of a platform's tests. The operating system releases them if a process is killed.

    Args:
        directory: the directory for the lock files. It is created if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def hold(self, *, exclusive: bool) -> Iterator[None]:
        """Holds the platform's lock during the block.

        If `exclusive` is true, first waits until no other test holds the lock. Otherwise shares the
        lock with other tests, but first waits until no exclusive test holds it.
        """
        self._directory.mkdir(exist_ok=True)
        with (
            (self._directory / "queue").open("w") as queue,
            (self._directory / "use").open("w") as use,
        ):
            # An exclusive test waits only for tests that already run. Later tests wait for the
            # exclusive test.
            fcntl.flock(queue, fcntl.LOCK_EX)
            fcntl.flock(use, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            fcntl.flock(queue, fcntl.LOCK_UN)
            yield

    def report_end(self, scope: str) -> None:
        """Records that all tests of a scope have run."""
        self._directory.mkdir(exist_ok=True)
        (self._directory / scope).touch()

    def wait_for_end(self, scope: str, seconds: float) -> None:
        """Waits until all tests of a scope have run on another worker.

        Raises:
            AssertionError: the tests of the scope did not end within `seconds`.
        """
        wait_for((self._directory / scope).exists, seconds)
