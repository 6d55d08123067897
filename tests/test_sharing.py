"""Tests how tests on several workers share the platform."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tests.e2e.support.sharing import Sharing

SHORT = 0.3
"""Seconds within which a process that does not have to wait can use the platform."""
LONG = 30.0
"""Seconds until a test fails because a process still waits."""


class Worker:
    """A process that uses the platform until `end` is called."""

    def __init__(self, directory: Path, *, exclusive: bool) -> None:
        context = multiprocessing.get_context("fork")
        self.uses, self._end = context.Event(), context.Event()
        self.process = context.Process(
            target=self._use, args=(directory, exclusive, self.uses, self._end), daemon=True
        )
        self.process.start()

    @staticmethod
    def _use(directory: Path, exclusive: bool, uses: Event, end: Event) -> None:
        with Sharing(directory).hold(exclusive=exclusive):
            uses.set()
            end.wait()

    def end(self) -> None:
        self._end.set()
        self.process.join()


StartWorker = Callable[[bool], Worker]


@pytest.fixture
def start(tmp_path: Path) -> StartWorker:
    """Returns a function that starts a process that uses the platform, exclusively or not."""
    return lambda exclusive: Worker(tmp_path / "sharing", exclusive=exclusive)


def test_ordinary_tests_use_the_platform_at_the_same_time(start: StartWorker) -> None:
    workers = [start(False), start(False)]
    assert all(worker.uses.wait(LONG) for worker in workers)
    for worker in workers:
        worker.end()


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_an_exclusive_test_does_not_run_at_the_same_time_as_another_test(
    start: StartWorker, first: bool, second: bool
) -> None:
    running = start(first)
    assert running.uses.wait(LONG)
    waiting = start(second)
    assert not waiting.uses.wait(SHORT)
    running.end()
    assert waiting.uses.wait(LONG)
    waiting.end()


def test_an_exclusive_test_waits_only_for_tests_that_began_earlier(start: StartWorker) -> None:
    running = start(False)
    assert running.uses.wait(LONG)
    exclusive = start(True)
    assert not exclusive.uses.wait(SHORT)
    later = start(False)
    assert not later.uses.wait(SHORT)
    running.end()
    assert exclusive.uses.wait(LONG)
    assert not later.uses.is_set()
    exclusive.end()
    assert later.uses.wait(LONG)
    later.end()


def test_a_killed_process_releases_the_platform(start: StartWorker) -> None:
    killed = start(True)
    assert killed.uses.wait(LONG)
    assert killed.process.pid
    os.kill(killed.process.pid, signal.SIGKILL)
    successor = start(True)
    assert successor.uses.wait(LONG)
    successor.end()


def test_the_end_of_a_scope_is_reported_to_other_processes(tmp_path: Path) -> None:
    sharing = Sharing(tmp_path / "sharing")
    with pytest.raises(AssertionError):
        sharing.wait_for_end("use", 0)
    sharing.report_end("use")
    sharing.wait_for_end("use", 0)
