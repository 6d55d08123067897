"""Writes the state of the services to files, and replaces the files of earlier saves."""

from __future__ import annotations

import copy
import gc
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ministack.core import persistence
from ministack.services import lambda_svc

from .journal import sync_directory
from .loading import previous

RECOVERY = "recovery.json"
"""File with the changes that a start recovered or lost. `ops up` reports and deletes it."""


class StateFiles:
    """The files with the saved state: one per service, in ministack's format.

    A forked process writes a partial file for each service, and the server renames them. A kill or
    a power failure therefore leaves either the old or the new file of a service.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._replaced: dict[str, int] = {}
        """The number of the save that wrote the file of each service."""

    def write_partial(self, name: str, number: int, state: Any) -> None:
        """Writes the state of a service to a partial file.

        Args:
            number: the number of the save.
        """
        content = {
            "__ministack_format__": persistence._state_format_version(name),
            "payload": state,
        }
        # `json.dump` would be slower, because it does not use the encoder in C.
        text = json.dumps(content, default=persistence._json_default)
        with self._partial(name, number).open("w") as output:
            output.write(text)
            output.flush()
            os.fsync(output.fileno())

    def replace(self, names: Iterable[str], number: int) -> None:
        """Replaces the files of services with the partial files of a save.

        Skips services without state, which have no partial file. Also skips services whose file was
        already replaced by a later save.
        """
        with self._lock:
            for name in names:
                partial, file = self._partial(name, number), self._directory / f"{name}.json"
                if not partial.exists() or self._replaced.get(name, 0) > number:
                    continue
                with suppress(OSError):
                    earlier = previous(file)
                    earlier.unlink(missing_ok=True)
                    earlier.hardlink_to(file)
                partial.replace(file)
                self._replaced[name] = number
            sync_directory(self._directory)

    def delete_partial(self, number: int | None = None) -> None:
        """Deletes the partial files of a save, or of all saves if `number` is None."""
        suffix = "*" if number is None else number
        for partial in self._directory.glob(f".*.json.{suffix}"):
            partial.unlink()

    def delete_unused_packages(self) -> None:
        """Deletes the functions' packages to which no saved state refers.

        Call it only while no save is running. A running save may contain a reference to a package
        to which no state file refers yet.
        """
        file = self._directory / "lambda.json"
        reference = re.compile(rf'"{lambda_svc._BLOB_REF_KEY}": "(\w+)"')
        used: set[str] = set()
        for saved in (file, previous(file)):
            if saved.exists():
                used.update(reference.findall(saved.read_text()))
        for package in Path(lambda_svc.CODE_BLOB_DIR).glob("*.zip"):
            if package.stem not in used:
                package.unlink()

    def add_recovery(self, recovery: dict[str, Any]) -> None:
        """Stores the changes that a start recovered or lost.

        Keeps losses of earlier starts that `ops up` has not reported yet.
        """
        file = self._directory / RECOVERY
        with suppress(FileNotFoundError, ValueError):
            earlier = json.loads(file.read_text())
            recovery = {
                **recovery,
                "lost": {**recovery["lost"], **earlier["lost"]},
                "damages": [*earlier["damages"], *recovery["damages"]],
            }
        file.write_text(json.dumps(recovery))

    def _partial(self, name: str, number: int) -> Path:
        return self._directory / f".{name}.json.{number}"


def write_in_child(files: StateFiles, number: int, services: dict[str, Callable[[], Any]]) -> None:
    """Writes the state of the services and exits. Call it only in a forked process."""
    status = 1
    try:
        # A garbage collection would copy the memory that the process shares with the server.
        gc.disable()
        # The child closes the inherited sockets. Otherwise, a connection that the server closes
        # would stay open here.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        # ministack copies the state before it writes it. Nothing changes the state in this process,
        # so the copy is omitted.
        copy.deepcopy = skip_copy  # type: ignore[assignment]
        for name, get_state in services.items():
            state = get_state()
            if state is not None:
                files.write_partial(name, number, state)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def skip_copy(value: Any, *_: Any) -> Any:
    """Replaces `copy.deepcopy`. Returns the value without copying it."""
    return value
