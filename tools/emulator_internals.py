"""Lists the internals of ministack and hypercorn that the embedded AWS replaces or reads.

    python -m tools.emulator_internals

After an update of ministack or hypercorn, first compare each changed function with the code in
ops/embedded/emulator that replaces it, and then run this command. Writes
ops/embedded/emulator/internals.json, with a fingerprint of the source code of each function and
class, and the type of each other value. If the version of an installed package differs from
internals.json, the embedded AWS compares the fingerprints and types when it starts. It does not
start if one of them differs.
"""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from ops.embedded.emulator.internals import FILE, PACKAGES, describe, resolve

FOLDER = FILE.parent


def main() -> None:
    """Writes the list to ops/embedded/emulator/internals.json."""
    FILE.write_text(json.dumps(list_internals(), indent=2, sort_keys=True) + "\n")


def list_internals() -> dict[str, Any]:
    """Returns the versions of the packages, and a description of each internal name that is
    used.
    """
    names = {name for file in FOLDER.rglob("*.py") for name in find_names(file)}
    return {
        "versions": {package: version(package) for package in PACKAGES},
        "internals": {name: describe(resolve(name)) for name in names},
    }


def find_names(file: Path) -> Iterator[str]:
    """Yields the full names of the functions, classes and values in PACKAGES that a module uses."""
    tree = ast.parse(file.read_text())
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in PACKAGES:
                    importlib.import_module(alias.name)
                    root = alias.name.partition(".")[0]
                    imported[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
            for alias in node.names:
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        chain = _chain(node)
        if chain and chain[0] in imported:
            yield from _members(".".join([imported[chain[0]], *chain[1:]]))


def _chain(node: ast.AST) -> list[str]:
    """Returns the names in an expression such as `a.b.c`, or [] for other expressions."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (parts := _chain(node.value)):
        return [*parts, node.attr]
    return []


def _members(name: str) -> Iterator[str]:
    """Yields the name if internals.json should list it.

    Omits modules, and members of values such as dictionaries.
    """
    if "." not in name:
        return
    owner = resolve(name.rpartition(".")[0])
    if isinstance(owner, ModuleType | type) and not isinstance(resolve(name), ModuleType):
        yield name


if __name__ == "__main__":
    main()
