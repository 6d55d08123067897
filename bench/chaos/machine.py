"""Kills and stops the processes of a local platform, fills its disk and changes its clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from ops.embedded import EmbeddedCloud, processes, services
from ops.embedded.processes import find_processes
from ops.errors import OperatorError
from ops.root import PROJECT, Root
from tests.waiting import wait_for

CLOCK = Path(__file__).with_name("clock.c")
"""Source of a library that shifts a process's clock.

It replaces libfaketime, with which `time.sleep` fails.
"""
PHASE_TIMEOUT = 180.0
"""Seconds for `ops up` to reach a phase on a busy machine."""
UP_TIMEOUT = 600.0


class Up:
    """A running `ops up`."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.begun = time.time()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops", "up", "--root", str(root)],
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            # A separate session, as in another terminal. Linux divides the CPU time between
            # sessions, so in one session the command and the clients would share one portion.
            start_new_session=True,
        )

    def wait(self) -> list[str]:
        """Waits until the command ends, and returns the lines that it reported.

        Raises:
            OperatorError: the command failed.
        """
        try:
            status = self.process.wait(UP_TIMEOUT)
        except BaseException:
            self.end()
            raise
        if status:
            raise OperatorError(f"`ops up` ended with status {status}: {self.reported()}")
        return self.reported().splitlines()

    def end(self) -> None:
        """Ends the command, so that other commands can use the platform."""
        self.process.terminate()
        self.process.wait()

    def reported(self) -> str:
        self._errors.seek(0)
        return self._errors.read()

    def wait_for(self, has_begun: Callable[[Up], bool]) -> None:
        """Waits until a phase begins. Fails if the command ends before the phase."""

        def find() -> bool:
            assert self.process.poll() is None, f"`ops up` ended too early: {self.reported()}"
            return has_begun(self)

        wait_for(find, PHASE_TIMEOUT, interval=0.02)

    def children(self) -> list[psutil.Process]:
        """Returns the processes of the command: Terraform, its provider and the synthesis."""
        kept = {process.pid for process in EmbeddedCloud(self.root).running().values()}
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            services_ = {
                child.pid for pid in kept for child in psutil.Process(pid).children(recursive=True)
            }
            return [child for child in children if child.pid not in kept | services_]
        return []

    def is_synthesizing(self) -> bool:
        for child in self.children():
            with suppress(psutil.NoSuchProcess):
                if "main.py" in child.cmdline():
                    return True
        return False

    def applied_actions(self) -> set[str]:
        """Returns the types of actions that Terraform has begun, such as `create`."""
        messages = self._terraform_messages()
        return {
            message["hook"]["action"] for message in messages if message["type"] == "apply_start"
        }

    def has_planned(self) -> bool:
        return any(message["type"] == "version" for message in self._terraform_messages())

    def has_applied(self) -> bool:
        # Terraform reports the outputs both after the plan and after the apply, so only the summary
        # shows that the apply has ended.
        return any(
            message["type"] == "change_summary" and message["changes"]["operation"] == "apply"
            for message in self._terraform_messages()
        )

    def _terraform_messages(self) -> list[dict[str, Any]]:
        log = self.root.logs / "terraform.jsonl"
        messages = []
        if log.exists() and log.stat().st_mtime > self.begun:
            for line in log.read_text().splitlines():
                with suppress(json.JSONDecodeError):
                    messages.append(json.loads(line))
        return messages


class Machine:
    """Breaks the processes, disk and clock of one local platform."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.cloud = EmbeddedCloud(root)

    def kill(self, *names: str) -> None:
        """Kills services at the same moment, and waits until their processes have ended."""
        running = self.cloud.running()
        for name in names:
            os.kill(running[name].pid, signal.SIGKILL)
        # Otherwise, `ops up` could reuse a process that has not ended yet.
        wait_for(lambda: not self.cloud.running().keys() & set(names), interval=0.01)

    def kill_workers(self) -> None:
        """Kills all processes that run Lambda functions."""
        for child in psutil.Process(self.cloud.running()["aws"].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def kill_all(self) -> None:
        """Kills all processes of the platform, as a power failure does."""
        # Kills the embedded AWS first, so that it cannot react to the end of a function's process.
        for name in ("aws", "database", "cache"):
            with suppress(KeyError, ProcessLookupError):
                self.kill(name)
        for process in find_processes(self.root):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop_for(self, name: str, seconds: float) -> None:
        """Stops a service and its processes with SIGSTOP, and continues them later."""
        process = psutil.Process(self.cloud.running()[name].pid)
        stopped = [process, *process.children(recursive=True)]
        for each in stopped:
            with suppress(psutil.NoSuchProcess):
                each.suspend()
        time.sleep(seconds)
        for each in stopped:
            with suppress(psutil.NoSuchProcess):
                each.resume()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Shrinks the tmpfs that contains the platform's directory to 16 KiB of free space."""
        size = _tmpfs_size(self.root.path)
        used = psutil.disk_usage(str(self.root.path)).used
        _remount(self.root.path, used + 16 * 1024)
        try:
            yield
        finally:
            _remount(self.root.path, size)

    @contextmanager
    def movable_clock(self) -> Iterator[Callable[[int], None]]:
        """Restarts the platform's services with a clock that can differ from the machine's.

        Yields a function that sets the difference in seconds. Restarts the services with the
        machine's clock at the end.
        """
        with tempfile.TemporaryDirectory() as directory:
            Path(directory).chmod(0o755)
            library, offset = Path(directory) / "clock.so", Path(directory) / "offset"
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, CLOCK, "-ldl"], check=True)

            def move(seconds: int) -> None:
                with offset.open("r+b") as file:
                    file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

            offset.write_bytes(bytes(8))
            variables = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
            with self._restarted_with(variables):
                yield move

    @contextmanager
    def _restarted_with(self, variables: Mapping[str, str]) -> Iterator[None]:
        """Restarts the platform's services with additional environment variables.

        Restarts them without these variables at the end.
        """
        environment = processes.base_environment

        def with_clock(root: Root) -> dict[str, str]:
            return {**environment(root), **variables}

        self.cloud.stop()
        with mock.patch.object(services, "base_environment", with_clock):
            self.cloud.start()
        try:
            yield
        finally:
            self.cloud.stop()
            self.cloud.start()


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[None]:
    """Mounts a tmpfs on a directory. Needs the permission to mount.

    Args:
        size: in bytes. The tmpfs uses memory only for its files.
    """
    options = f"size={size},mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def _tmpfs_size(directory: Path) -> int:
    return psutil.disk_usage(str(directory)).total


def _remount(directory: Path, size: int) -> None:
    mount = next(path for path in (directory, *directory.parents) if path.is_mount())
    subprocess.run(["mount", "-o", f"remount,size={size}", mount], check=True)
