"""Runs the package `emulator` in this folder, without the project on the import path.

`services.Aws` starts this file as a program.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGE = "emulator"


def load() -> None:
    """Loads the package as the top-level module `emulator`, unless it is loaded already."""
    if PACKAGE in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        PACKAGE, Path(__file__).parent / PACKAGE / "__init__.py"
    )
    assert spec
    assert spec.loader
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)


def main() -> None:
    """Loads the package and runs its main function."""
    load()
    importlib.import_module(f"{PACKAGE}.main").main()


if __name__ == "__main__":
    main()
