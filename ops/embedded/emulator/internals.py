"""Detects changes of the internals of ministack and hypercorn that this package uses.

internals.json lists these internals. tools/emulator_internals.py writes that file.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("ministack", "hypercorn")
FILE = Path(__file__).with_name("internals.json")


class ChangedInternalsError(Exception):
    """Raised if an installed package has changed internals that the corrections use."""


def verify(expected: dict[str, Any] | None = None) -> None:
    """Checks that the installed packages have the internals that internals.json describes.

    Skips the check if the versions of the packages are those in internals.json.

    Raises:
        ChangedInternalsError: A function, class or value has changed or is missing.
    """
    expected = expected or json.loads(FILE.read_text())
    installed = {package: version(package) for package in PACKAGES}
    if installed == expected["versions"]:
        return
    changed = find_changes(expected["internals"])
    if changed:
        names = "".join(f"\n- {name}" for name in changed)
        versions = ", ".join(f"{package} {number}" for package, number in installed.items())
        raise ChangedInternalsError(
            f"{versions} changed internals that ops/embedded/emulator replaces or reads:{names}\n"
            "Compare each with its use in that folder, correct the use, and run"
            " `python -m tools.emulator_internals`"
        )


def find_changes(internals: dict[str, str]) -> list[str]:
    """Returns the names in `internals` that are missing or whose description has changed."""
    changed = []
    for name, description in sorted(internals.items()):
        try:
            current = describe(resolve(name))
        except (AttributeError, ImportError):
            current = "missing"
        if current != description:
            changed.append(name)
    return changed


def describe(value: Any) -> str:
    """Returns a text that differs if the value has changed.

    The text is a digest of the code of a function or class, a digest of a string with several
    lines, or the type of any other value.
    """
    value = inspect.unwrap(value) if callable(value) else value
    if inspect.isfunction(value) or inspect.isclass(value):
        source = inspect.getsource(value)
        return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"
    if isinstance(value, str) and "\n" in value:
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    return f"{type(value).__module__}.{type(value).__qualname__}"


def resolve(name: str) -> Any:
    """Returns the object with a full name: a module, or a member of a module or class.

    Raises:
        AttributeError: The member does not exist.
        ImportError: The package does not exist.
    """
    parts = name.split(".")
    value: Any = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], 2):
        if isinstance(value, ModuleType) and not hasattr(value, part):
            try:
                importlib.import_module(".".join(parts[:number]))
            except ModuleNotFoundError as error:
                raise AttributeError(f"{name} does not exist") from error
        value = getattr(value, part)
    return value
