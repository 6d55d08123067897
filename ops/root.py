"""Manages the root, the directory of a local platform: `.local/`, or the value of --root."""

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
"""Bytes. The unpacked AWS provider takes 0.7 GB. Packages, databases and logs need more."""


@dataclass(frozen=True)
class Root:
    """The directory that contains all files of one local platform."""

    path: Path = DEFAULT_ROOT
    """The absolute path. A relative path becomes absolute, because services have other working
    directories.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.resolve())

    def __str__(self) -> str:
        return str(self.path)

    @property
    def cdktf_out(self) -> Path:
        return self.path / "cdktf.out"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def platform_file(self) -> Path:
        """The file with the platform's addresses and outputs, written after /health returns 200."""
        return self.path / "platform.json"

    def reports(self, environment: str) -> Path:
        """Returns the directory with the latest reports of an environment, for the web console."""
        return self.path / "console" / environment

    @property
    def _marker(self) -> Path:
        return self.path / ".multitask-root"

    def prepare(self) -> None:
        """Creates the root directory. Marks it as created by the platform if it is new or empty.

        Raises:
            OperatorError: The directory is not writable, or its disk is nearly full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not any(self.path.iterdir()):
                self._marker.write_text(
                    "Created by the platform: `ops down --purge` deletes this directory.\n"
                )
            self.logs.mkdir(exist_ok=True)
        except OSError as error:
            raise OperatorError(
                f"{self.path} is not writable ({error.strerror}): choose another directory"
                " with --root"
            ) from error
        if not os.access(self.path, os.W_OK):
            raise OperatorError(
                f"{self.path} is not writable: choose another directory with --root"
            )
        free = shutil.disk_usage(self.path).free
        if free < FREE_DISK_REQUIRED:
            raise OperatorError(
                f"The disk of {self.path} has {free / 1024**3:.1f} GiB free, but the platform needs"
                f" {FREE_DISK_REQUIRED // 1024**3} GiB: free some space, or choose another"
                " directory with --root"
            )

    def check_ownership(self) -> None:
        """Checks that the platform created the directory, so that deleting it is safe.

        Raises:
            OperatorError: The platform did not create the directory.
        """
        if self.path != DEFAULT_ROOT and not self._marker.exists():
            raise OperatorError(
                f"{self.path} was not created by the platform, so it was not deleted: correct"
                " --root, or run the command without --purge and delete the files yourself"
            )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Locks the directory for one command. The OS releases the lock if the process is killed.

        Raises:
            OperatorError: Another command holds the lock.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise OperatorError(
                    f"Another command is using {self.path}"
                    f" (process {lock.read().strip() or 'unknown'}): wait until that command ends"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file atomically. A full disk or an interrupt does not leave a partial file.

    Writes to a device, such as /dev/stdout, directly.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any | None:
    """Returns the content of a JSON file, or None if the file is missing or invalid."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
