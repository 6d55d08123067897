"""Loads the saved state of the services. Keeps damaged files, and loads the previous save
instead.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ministack.app
from ministack.core import persistence

DAMAGED = "damaged"
"""Name of the folder for files that could not be loaded. It is inside the state directory."""
PREVIOUS = ".previous"
"""Suffix of the file that contains the save before the latest one of a service."""


@dataclass(frozen=True)
class Damage:
    """A saved state that could not be loaded because its file is damaged."""

    service: str
    kept: str
    """The path to which the damaged file was moved."""
    saved: float | None
    """The time of the save that was loaded instead (epoch seconds). None if no save was loaded."""


def load_all(state: Path) -> list[Damage]:
    """Loads the saved state of all services. Returns the damaged files."""
    damages: list[Damage] = []
    for name, module in ministack.app._state_map.items():

        def load(content: Any, module: str = module) -> None:
            ministack.app._get_module(module).load_persisted_state(content)

        damages += load_service(state, name, load)
    return damages


def load_service(state: Path, name: str, load: Callable[[Any], None]) -> list[Damage]:
    """Loads the saved state of one service. Returns the damaged files.

    Args:
        state: the directory of the saved states.
        load: loads the content of the file into the service. Any exception means that the file is
            damaged.
    """
    file = state / f"{name}.json"
    kept: list[str] = []
    for candidate in (file, previous(file)):
        if not candidate.exists():
            continue
        saved = candidate.stat().st_mtime
        try:
            # `read` reads only the file with this name.
            candidate.replace(file)
            load(read(name))
        except Exception:
            traceback.print_exc()
            # The damaged file is moved, because later saves would overwrite it.
            kept.append(str(move_damaged_file(file, state)))
        else:
            return [Damage(name, copy, saved) for copy in kept]
    return [Damage(name, copy, None) for copy in kept]


def read(name: str) -> Any:
    """Returns the content of a service's file.

    Raises:
        ValueError: the file is damaged, or a newer version of ministack wrote it.
    """
    content = persistence.load_state(name)
    if content is None:
        raise ValueError(f"{name}.json cannot be read")
    return content


def previous(file: Path) -> Path:
    """Returns the path of the previous save of a service."""
    return file.with_name(f"{file.name}{PREVIOUS}")


def move_damaged_file(file: Path, state: Path) -> Path:
    """Moves a damaged file to the folder DAMAGED and returns its new path."""
    directory = state / DAMAGED
    directory.mkdir(exist_ok=True)
    copy = directory / f"{time.time_ns()}-{file.name}"
    file.replace(copy)
    return copy
