"""Reads files of a platform while its processes create and delete files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def read_files(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Yields the path and content of each regular file below a directory.

    Skips Terraform's plugins. Also skips files and folders that are deleted during the call,
    whereas `Path.rglob` raises FileNotFoundError for them.
    """
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if name != ".terraform"]
        for file in (Path(folder, name) for name in names):
            try:
                if file.is_file():
                    yield file, file.read_bytes()
            except FileNotFoundError:
                continue
