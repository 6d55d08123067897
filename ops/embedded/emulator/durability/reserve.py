"""Reserves disk space for saves, so that the embedded AWS can save its state on a full disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Reserve:
    """A file of zeros that occupies disk space. Deleting it frees the space for a save.

    Args:
        file: the path of the file, on the same disk as the saved state.
        size: the size of the file in bytes.
        minimum: the bytes that must remain free on the disk after the file is written.
    """

    def __init__(self, file: Path, size: int, minimum: int) -> None:
        self._file = file
        self._size = size
        self._minimum = minimum
        self._lock = threading.Lock()
        self._partial = file.with_name(f"{file.name}.partial")
        self._partial.unlink(missing_ok=True)
        self.is_full = file.exists() and file.stat().st_size == size
        """True if the file exists and reserves the space. False if it was deleted for a save, or if
        the disk had too little space to write it.
        """

    def has_space(self) -> bool:
        """Returns True if the disk has at least the minimum of free space."""
        return free_space(self._file.parent) >= self._minimum

    def fill(self) -> None:
        """Writes the file if it is missing and the disk has enough free space."""
        with self._lock:
            if self.is_full or free_space(self._file.parent) < self._size + self._minimum:
                return
            try:
                # The zeros are written, because some file systems reserve no space for a sparse
                # file.
                self._partial.write_bytes(bytes(self._size))
            except OSError:
                self._partial.unlink(missing_ok=True)
            else:
                self.is_full = True
                self._partial.replace(self._file)

    def free(self) -> bool:
        """Deletes the file to free its space. Returns True if it reserved space before the call."""
        with self._lock:
            was_full, self.is_full = self.is_full, False
            self._file.unlink(missing_ok=True)
            return was_full


def free_space(directory: Path) -> int:
    """Returns the free bytes on a directory's disk that an unprivileged process can use."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize
