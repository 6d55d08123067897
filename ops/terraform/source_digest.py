"""Computes digests of the project's source files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def digest(files: Iterable[Path]) -> str:
    """Returns a digest of the paths and contents of files."""
    result = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        result.update(f"{file} {content}\n".encode())
    return result.hexdigest()


def source_files(project: Path, sources: Iterable[str]) -> Iterator[Path]:
    """Yields the files in `sources`, which are files and folders of the project."""
    for source in sources:
        path = project / source
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file
