"""Packages Lambda functions as zips named after a digest of their content.

A zip holds the function's folder, lambdas/common and the pinned dependencies of both. An unchanged
function has the same digest, so that it is neither packaged nor uploaded again, and Terraform plans
no change. Dependencies are downloaded once per set of pins and target platform, and verified with
the hashes in Pipfile.lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, get_args

from environments import FunctionName
from modules.base.artifact import Artifact

ROOT = Path(__file__).resolve().parent.parent
SHARED = "common"
"""The folder in lambdas/ that every zip contains."""

# The Lambda runtime of every function on AWS: python3.13 on arm64 (Amazon Linux 2023, glibc 2.34).
AWS_PIP_ARGUMENTS = (
    "--platform=manylinux_2_28_aarch64",
    "--platform=manylinux_2_17_aarch64",
    "--platform=manylinux2014_aarch64",
    "--python-version=3.13",
    "--implementation=cp",
    "--only-binary=:all:",
)
# Files that pip writes about an installation. They differ between machines and are not needed.
INSTALLATION_RECORDS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The modification time of all files in a zip, which makes zips reproducible. The format allows no
earlier time.
"""

Platform = Literal["aws", "host"]


class PackagingError(Exception):
    """A function cannot be packaged. The message contains the reason and the remedy."""


class Packager:
    """Packages functions of one source tree for one target platform.

    Args:
        target: `aws` for the Lambda runtime, `host` for the running interpreter.
        source: The folder with one folder per function.
        lock: The Pipfile.lock with the hashes.
        build: The cache of downloads and zips.
        compress: Whether to compress the zips. Without compression, packaging is much faster, but
            zips are several times as large. False is meant for the embedded AWS (for local use).
    """

    def __init__(
        self,
        target: Platform,
        *,
        source: Path = ROOT / "lambdas",
        lock: Path = ROOT / "Pipfile.lock",
        build: Path = ROOT / ".build",
        compress: bool = True,
    ) -> None:
        self._target: Platform = target
        self._source = source
        self._lock = lock
        self._build = build
        self._compression = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED

    def package_all(self, functions: list[str]) -> dict[str, Artifact]:
        """Packages several functions. Functions with the same dependencies share one download."""
        requirements = {function: self._read_pins(function) for function in functions}
        with ThreadPoolExecutor() as pool:
            distinct = sorted(set(requirements.values()))
            installed = dict(zip(distinct, pool.map(self._install, distinct), strict=True))
            return {
                artifact.function: artifact
                for artifact in pool.map(
                    lambda name: self._zip(name, installed[requirements[name]]), functions
                )
            }

    def _read_pins(self, function: str) -> tuple[str, ...]:
        """Returns the sorted `name==version` pins of a function and of the shared code.

        Raises:
            PackagingError: The function does not exist, or a line is not an exact pin.
        """
        if not (self._source / function / "handler.py").is_file():
            raise PackagingError(
                f"{self._source / function} has no handler.py: create it, or correct the function's"
                " name"
            )
        pins: set[str] = set()
        for folder in (SHARED, function):
            file = self._source / folder / "requirements.txt"
            lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
            for line in lines:
                pin = line.split("#", 1)[0].strip()
                if not pin:
                    continue
                if pin.count("==") != 1:
                    raise PackagingError(
                        f"{file}: {pin} does not pin one version: use name==version"
                    )
                pins.add(pin.lower())
        return tuple(sorted(pins))

    def _install(self, pins: tuple[str, ...]) -> Path:
        """Installs these dependencies, unless an earlier run did, and returns their folder.

        Raises:
            PackagingError: Pipfile.lock pins another version of a dependency, or pip failed.
        """
        lines = self._add_hashes(pins)
        host = f"{sys.implementation.cache_tag}-{platform.system()}-{platform.machine()}"
        target_id = host if self._target == "host" else " ".join(AWS_PIP_ARGUMENTS)
        key = _digest([("platform", target_id.encode())])
        digest = _digest([("pins", "\n".join([*lines, key]).encode())])
        folder = self._build / "dependencies" / digest[:16]
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            target = Path(scratch) / "target"
            target.mkdir()
            if lines:
                requirements = Path(scratch) / "requirements.txt"
                requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
                command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
                command += ["--disable-pip-version-check", "--no-compile", "--require-hashes"]
                command += [f"--target={target}", f"--requirement={requirements}"]
                command += [] if self._target == "host" else AWS_PIP_ARGUMENTS
                result = subprocess.run(command, capture_output=True, text=True, check=False)
                if result.returncode:
                    raise PackagingError(
                        f"pip could not fetch {', '.join(pins)}:\n{result.stderr.strip()}"
                    )
            shutil.rmtree(target / "bin", ignore_errors=True)
            try:
                target.rename(folder)
            except OSError:  # a concurrent run created the same folder first
                if not folder.is_dir():
                    raise
        return folder

    def _add_hashes(self, pins: tuple[str, ...]) -> list[str]:
        """Returns the pins as lines of a requirements file with hashes."""
        locked = json.loads(self._lock.read_text(encoding="utf-8"))["default"]
        lines = []
        for pin in pins:
            name, version = pin.split("==")
            entry = locked.get(name)
            if entry is None or entry["version"] != f"=={version}":
                locked_version = entry["version"].lstrip("=") if entry else "no such package"
                raise PackagingError(
                    f"The pin {pin} differs from {self._lock.name}, which has {locked_version}:"
                    " change the pin, or change the Pipfile and run `make lock`"
                )
            lines.append(" ".join([pin, *(f"--hash={value}" for value in sorted(entry["hashes"]))]))
        return lines

    def _zip(self, function: str, dependencies: Path) -> Artifact:
        sources = {name: file.read_bytes() for name, file in sorted(self._sources(function))}
        # The zip's digest includes the name of the dependencies' folder instead of its contents,
        # because the name is a digest of the pins, the hashes and the target platform.
        digest = _digest([("dependencies", dependencies.name.encode()), *sources.items()])
        kind = "" if self._compression == zipfile.ZIP_DEFLATED else "-stored"
        path = self._build / "functions" / f"{function}-{digest[:16]}{kind}.zip"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            contents = {
                name: file.read_bytes() for name, file in _files(dependencies, "")
            } | sources
            part = path.with_suffix(f".{os.getpid()}.part")
            try:
                with zipfile.ZipFile(part, "w", self._compression) as archive:
                    for name, content in sorted(contents.items()):
                        entry = zipfile.ZipInfo(name, ZIP_EPOCH)
                        entry.external_attr = 0o644 << 16
                        entry.compress_type = self._compression
                        archive.writestr(entry, content)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return Artifact(function, path, digest)

    def _sources(self, function: str) -> Iterator[tuple[str, Path]]:
        package = self._source.name
        yield f"{package}/__init__.py", self._source / "__init__.py"
        for folder in (SHARED, function):
            yield from _files(self._source / folder, f"{package}/{folder}/")


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for directory, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if (
                name not in INSTALLATION_RECORDS
                and name != "requirements.txt"
                and not name.endswith(".pyc")
            ):
                file = Path(directory, name)
                yield prefix + file.relative_to(folder).as_posix(), file


def _digest(items: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in items:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def package_functions(platforms: set[Platform]) -> dict[Platform, dict[str, Artifact]]:
    """Packages every function for each target (operating system, CPU and Python version)."""
    return {
        target: Packager(target).package_all(list(get_args(FunctionName)))
        for target in sorted(platforms)
    }
