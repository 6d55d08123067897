"""Runs the programs of tools/api, which need Node.js."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ops.root import PROJECT

FOLDER = PROJECT / "tools" / "api"
_PACKAGES = FOLDER / "node_modules"


def run_node(*arguments: str | Path) -> str:
    """Runs a Node.js program. Returns its standard output even if the program fails."""
    return _run("node", *arguments)


def generate_types(description: Path, file: Path) -> None:
    """Generates the types of TypeScript clients, as `make types` does."""
    arguments = (description, "--output", file)
    _run("npm", "--prefix", FOLDER, "run", "--silent", "types", "--", *arguments)


def check_types(*programs: Path) -> str:
    """Compiles TypeScript programs. Returns the errors."""
    return run_node(_PACKAGES / "typescript" / "bin" / "tsc", "--strict", "--noEmit", *programs)


def _run(*command: str | Path) -> str:
    assert _PACKAGES.exists(), "run `make test`, which installs the packages of tools/api"
    result = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER, check=False)
    return result.stdout + result.stderr * bool(result.returncode)
