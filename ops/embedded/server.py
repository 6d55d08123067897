"""Runs a package of this folder (argument 1) without the project on the import path.

`services.py` starts this file as a program.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def load(name: str) -> None:
    """Loads a package of this folder as the top-level module `name`, unless it is loaded."""
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
