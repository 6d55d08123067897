"""Where a run keeps its files: the project's `.local/`, or another directory for a second, independent platform."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import OperatorError

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_ROOT = PROJECT / ".local"
FREE_DISK_REQUIRED = 2 * 1024**3
"""Bytes: the provider binary (0.7 GB unpacked), packages, databases and logs."""


@dataclass(frozen=True)
class Root:
    """One platform's directory. Everything its run writes lies below it."""

    path: Path = DEFAULT_ROOT

    @property
    def cdktf_out(self) -> Path:
        return self.path / "cdktf.out"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def platform_file(self) -> Path:
        """The addresses and outputs of the running platform; present only after /health answered 200."""
        return self.path / "platform.json"

    @property
    def _mark(self) -> Path:
        return self.path / ".multitask-root"

    def prepare(self) -> None:
        """Makes the directory, and marks it as the platform's own unless it held something before.

        Raises:
            OperatorError: it cannot be written, or its disk is nearly full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not any(self.path.iterdir()):
                self._mark.write_text(
                    "Made by the Multitask Platform: `ops down --purge` removes this directory.\n"
                )
            self.logs.mkdir(exist_ok=True)
        except OSError as error:
            raise OperatorError(
                f"{self.path} cannot be written ({error.strerror}): give another place with --root"
            ) from error
        if not os.access(self.path, os.W_OK):
            raise OperatorError(f"{self.path} cannot be written: give another place with --root")
        free = shutil.disk_usage(self.path).free
        if free < FREE_DISK_REQUIRED:
            raise OperatorError(
                f"The disk of {self.path} has {free / 1024**3:.1f} GiB free and {FREE_DISK_REQUIRED // 1024**3} GiB are needed:"
                " free some, or give another place with --root"
            )

    def check_own(self) -> None:
        """Checks that nothing but the platform's files can be in the directory, so that it may be removed.

        Raises:
            OperatorError: it was not made for the platform.
        """
        if self.path.resolve() != DEFAULT_ROOT and not self._mark.exists():
            raise OperatorError(
                f"{self.path} was not made by the platform, so it is not removed: give the right place with --root, or stop"
                " it without --purge and remove its files yourself"
            )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the directory for one command that changes it; the lock goes with the process, however that ends.

        Raises:
            OperatorError: another command holds it.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise OperatorError(
                    f"Another command is at work on {self.path} (process {lock.read().strip() or 'unknown'}): wait until it is done"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file at once or not at all, so that a reader or a crash never meets half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    partial.replace(path)


def read_json(path: Path) -> Any | None:
    """The file's value, or None where there is no such file or it holds no JSON."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
