"""Lists and rolls back releases, and runs `ops review`, `ops drift` and `ops cost`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.errors import OperatorError
from ops.root import PROJECT, read_json, write_json
from ops.traffic.ledger import Ledger, Record
from ops.web_console.source import Source

TIMEOUT = 600
"""Seconds after which a command is stopped. A plan of an environment on AWS takes a few minutes."""
LISTED_SHIFTS = 60
"""Number of traffic shifts that the console lists."""
DRIFT = 2
"""The exit status of `ops drift` if there is drift."""


@dataclass(frozen=True)
class Report:
    """A command whose report the console shows."""

    command: Sequence[str]
    has_root: bool = True
    """Whether the command has the option --root."""
    statuses: frozenset[int] = frozenset({0})
    """Exit statuses that count as success."""
    stores: bool = False
    """Whether the command stores its result itself, so that the console also shows results of runs
    in a terminal. Other commands print JSON, which the console stores.
    """


REPORTS: Mapping[str, Report] = {
    "review": Report(("review", "--no-lock", "--no-checkov"), stores=True),
    "drift": Report(("drift", "--json"), statuses=frozenset({0, DRIFT})),
    "cost": Report(("cost", "--json"), has_root=False),
}


class Reports:
    """The latest result of each command, stored in the platform's root directory (`--root`) so that
    it survives restarts of the console.

    The commands run as separate processes, so that their memory is released when they end.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._directory = source.root.reports(source.environment)
        self._running = {name: threading.Lock() for name in REPORTS}

    def get(self, name: str) -> dict[str, Any]:
        """Returns the latest result of a command, or only `isRunning` if no result is stored."""
        stored = read_json(self._directory / f"{name}.json") or {}
        return {**stored, "isRunning": self._running[name].locked()}

    def page(self, name: str) -> bytes | None:
        """Returns the HTML page that a command wrote, or None if it has written no page."""
        file = self._directory / f"{name}.html"
        return file.read_bytes() if file.exists() else None

    def run(self, name: str, clock: float) -> dict[str, Any]:
        """Runs a command, and stores and returns its result.

        Args:
            clock: The time to store with the result, in seconds since the epoch.

        Raises:
            OperatorError: The command failed, or it is already running.
        """
        report, lock = REPORTS[name], self._running[name]
        if not lock.acquire(blocking=False):
            raise OperatorError(f"`ops {name}` is already running: wait until it ends")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "ops", report.command[0], self._source.environment]
            command += report.command[1:]
            command += ["--root", str(self._source.root.path)] if report.has_root else []
            try:
                completed = subprocess.run(
                    command,
                    cwd=PROJECT,
                    capture_output=True,
                    text=True,
                    timeout=TIMEOUT,
                    check=False,
                    env={**os.environ, "COLUMNS": "200"},
                )
            except subprocess.TimeoutExpired as error:
                raise OperatorError(
                    f"`ops {name}` did not end within {TIMEOUT:g} s and was stopped: run"
                    f" `ops {' '.join(command[3:])}` in a terminal to see its progress"
                ) from error
            if completed.returncode not in report.statuses:
                lines = completed.stderr.strip().splitlines()[-5:]
                raise OperatorError(f"`ops {name}` failed: {' '.join(lines)}")
            if not report.stores:
                result = {"time": clock, "value": json.loads(completed.stdout)}
                write_json(self._directory / f"{name}.json", result)
        finally:
            lock.release()
        return self.get(name)


def list_releases(source: Source) -> list[Record]:
    """Returns the latest traffic shifts of all functions, newest first."""
    ledger = Ledger(source.cloud())
    records = [
        record for service in source.outputs()["functions"] for record in ledger.history(service, 5)
    ]
    return sorted(records, key=lambda record: record.released_at, reverse=True)[:LISTED_SHIFTS]


def roll_back(source: Source, service: str, version: str) -> Any:
    """Shifts all traffic of a Lambda function to an earlier version."""
    from ops.traffic.release import roll_back_service  # noqa: PLC0415 - takes memory

    return roll_back_service(source.cloud(), service, version)
