"""Runs the package in this folder that argument 1 names, such as `emulator`.

`services.py` starts this file as a program, with the project off the import path.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def load(name: str) -> None:
    """Loads the package `name` in this folder as a top-level module, unless it is loaded."""
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        name, Path(__file__).parent / name / "__init__.py"
    )
    assert spec
    assert spec.loader
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)


def main() -> None:
    """Loads the package and runs its main function."""
    package = sys.argv.pop(1)
    load(package)
    importlib.import_module(f"{package}.main").main()


if __name__ == "__main__":
    main()
