"""Stores the Python packages of `ops`, so that a rollback on AWS needs no package index.

    python tools/wheelhouse.py key                       # prints a name for this set of packages
    python tools/wheelhouse.py save DIRECTORY            # downloads the packages
    python tools/wheelhouse.py install DIRECTORY VENV    # creates VENV from them, offline

pip compares each package with the hashes in Pipfile.lock. This file uses only Python's standard
library, because it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "Pipfile.lock"
GROUP = "default"
"""The group of Pipfile.lock with the packages of `ops`, without embedded cloud and tests."""


def read_requirements(lock: Path = LOCK) -> str:
    """Returns the packages of GROUP in a Pipfile.lock as the text of a requirements file with
    hashes.
    """
    packages: dict[str, dict[str, Any]] = json.loads(lock.read_text(encoding="utf-8"))[GROUP]
    return "".join(
        f"{name}{entry['version']}"
        + (f" ; {entry['markers']}" if "markers" in entry else "")
        + "".join(f" --hash={value}" for value in entry["hashes"])
        + "\n"
        for name, entry in sorted(packages.items())
    )


def package_set_key(requirements: str) -> str:
    """Returns a name for the set of packages.

    The name depends on the packages, Python and the platform.
    """
    kind = f"{sys.implementation.cache_tag}-{sys.platform}"
    return f"{kind}-{hashlib.sha256(requirements.encode()).hexdigest()[:16]}"


def save(directory: Path, requirements: str) -> None:
    """Downloads the packages to a directory.

    Raises:
        CalledProcessError: A package is missing, has no wheel, or has another hash.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _pip(["download", "--only-binary=:all:", f"--dest={directory}"], requirements)


def install(directory: Path, environment: Path, requirements: str) -> None:
    """Creates a virtual environment with the packages of a directory. Opens no connection.

    Raises:
        CalledProcessError: A package is missing or has another hash.
    """
    venv.create(environment, clear=True)
    python = environment / "bin" / "python"
    options = ["--no-index", f"--find-links={directory}", "--no-compile"]
    _pip(["--python", str(python), "install", *options], requirements)


def install_pins(environment: Path, pins: Collection[str], lock: Path = LOCK) -> None:
    """Installs some packages of the group into a virtual environment, with the locked hashes.

    Args:
        pins: `name==version` of each package.

    Raises:
        CalledProcessError: A package is missing or has another hash.
    """
    chosen = [
        line for line in read_requirements(lock).splitlines() if line.partition(" ")[0] in pins
    ]
    assert len(chosen) == len(pins), "a pin differs from Pipfile.lock"
    python = environment / "bin" / "python"
    _pip(["--python", str(python), "install", "--only-binary=:all:"], "\n".join(chosen))


def _pip(arguments: Sequence[str], requirements: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments),
                *("--quiet", "--no-deps", "--require-hashes", f"--requirement={file.name}"),
            ],
            check=True,
        )


def main(arguments: Sequence[str]) -> None:
    """Runs the subcommand that the first argument names: `key`, `save` or `install`."""
    requirements = read_requirements()
    match arguments:
        case ["key"]:
            print(package_set_key(requirements))
        case ["save", directory]:
            save(Path(directory), requirements)
        case ["install", directory, environment]:
            install(Path(directory), Path(environment), requirements)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
