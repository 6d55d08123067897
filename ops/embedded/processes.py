"""Starts, records, finds and stops processes that outlive the command that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from ops.process_identity import find_process
from ops.root import Root, read_json, write_json

MARKER = "MULTITASK_ROOT"
"""Environment variable with the path of the root directory for which a process was started."""
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")
"""The only variables that services inherit. Excludes PYTHONPATH, credentials and AWS settings."""


@dataclass(frozen=True)
class Process:
    """A recorded process. The ID and start time identify it, because the OS reuses IDs."""

    name: str
    pid: int
    started: float
    """Seconds since the epoch."""
    port: int

    def find(self) -> psutil.Process | None:
        """Returns the running process, or None if it has ended (a zombie has ended)."""
        return find_process(self.pid, self.started)


def describe_process(name: str, record: Process | None) -> dict[str, Any]:
    """Returns the name, port and process ID of a program, and whether it is running."""
    return {
        "name": name,
        "running": bool(record and record.find()),
        "pid": record.pid if record else None,
        "port": record.port if record else None,
    }


def base_environment(root: Root) -> dict[str, str]:
    """Returns the environment variables that all processes of a local platform share."""
    scratch = root.path / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **kept,
        MARKER: str(root.path),
        "TMPDIR": str(scratch),
        # The emulator gets the names of all AWS services from botocore, which must not read the
        # user's AWS configuration and credentials.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


class Processes:
    """The processes that commands started for a root directory, recorded in processes.json."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._file = root.path / "processes.json"

    def all(self) -> list[Process]:
        return [Process(**entry) for entry in read_json(self._file) or []]

    def get(self, name: str) -> Process | None:
        return next((process for process in self.all() if process.name == name), None)

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        port: int,
        environment: Mapping[str, str],
        cwd: Path,
        user: str | None = None,
    ) -> Process:
        """Starts and records a process in a new session. Appends its output to logs/<name>.log."""
        with (self._root.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
            )
        process = Process(name, child.pid, psutil.Process(child.pid).create_time(), port)
        self._write([other for other in self.all() if other.name != name] + [process])
        return process

    def stop(
        self, process: Process, stop_signal: signal.Signals = signal.SIGTERM, timeout: float = 30.0
    ) -> bool:
        """Stops a process and removes its record. Kills it after `timeout` seconds.

        Returns:
            True if the stop signal ended the process. False if it was killed or not running.
        """
        running = process.find()
        has_stopped = False
        if running:
            running.send_signal(stop_signal)
            has_stopped = _wait_until_ended(process, timeout)
            if not has_stopped:
                running.kill()
                _wait_until_ended(process, timeout)
        self.forget(process)
        return has_stopped

    def forget(self, process: Process) -> None:
        self._write([other for other in self.all() if other.name != process.name])

    def _write(self, processes: list[Process]) -> None:
        write_json(self._file, [asdict(process) for process in processes])


def _wait_until_ended(process: Process, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while process.find():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def find_processes(root: Root) -> list[psutil.Process]:
    """Returns the running processes that were started for a root directory.

    Excludes the current process. Includes unrecorded processes, such as those that run Lambda
    functions for a killed server.
    """
    marker = str(root.path)
    matching = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == marker:
                matching.append(process)
        except psutil.Error:
            continue
    return matching
