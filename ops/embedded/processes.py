"""Processes that outlive the command that started them: started detached, recorded, recognized again, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ops.process_identity import find
from ops.root import Root, read_json, write_json

MARKER = "MULTITASK_ROOT"
"""Environment variable that every process started for a root carries; children inherit it."""
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")
"""Nothing else of the caller's environment reaches a service: no PYTHONPATH, no credentials, no AWS settings."""


@dataclass(frozen=True)
class Process:
    """One recorded process. A process id alone proves nothing, since ids are used again: its start time goes with it."""

    name: str
    pid: int
    started: float
    """Seconds since the epoch."""
    port: int

    def find(self) -> psutil.Process | None:
        """The running process this record means, or None when it is gone (a zombie is gone)."""
        return find(self.pid, self.started)


def base_environment(root: Root) -> dict[str, str]:
    """What every process of the root starts with."""
    scratch = root.path / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, MARKER: str(root.path.resolve()), "TMPDIR": str(scratch)}


class Processes:
    """The root's record of what it started; written before anything else happens, so that a crash loses none."""

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
        """Starts a detached process in a session of its own; its output is appended to logs/<name>.log."""
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
        self, process: Process, sign: signal.Signals = signal.SIGTERM, timeout: float = 30.0
    ) -> bool:
        """Stops a process, gently first, and forgets it. False: it had to be killed or was gone already."""
        found = process.find()
        gentle = False
        if found:
            found.send_signal(sign)
            gentle = _gone(process, timeout)
            if not gentle:
                found.kill()
                _gone(process, timeout)
        self.forget(process)
        return gentle

    def forget(self, process: Process) -> None:
        self._write([other for other in self.all() if other.name != process.name])

    def _write(self, processes: list[Process]) -> None:
        write_json(self._file, [asdict(process) for process in processes])


def _gone(process: Process, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while process.find():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def strays(root: Root) -> list[psutil.Process]:
    """Running processes that carry the root's marker, whoever started them: workers whose parent was killed, an orphaned apply."""
    marker = str(root.path.resolve())
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == marker:
                found.append(process)
        except psutil.Error:
            continue
    return found
