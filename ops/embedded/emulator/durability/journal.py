"""An append-only log of changes, which survives a kill of the process that writes it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ministack.core import persistence

SUFFIX = ".jsonl"
ENCODER = json.JSONEncoder(separators=(",", ":"), default=persistence._json_default)

Record = list[Any]


class Journal:
    """A directory of numbered files (segments). Each line is a JSON array of related records.

    A line is in the operating system's cache before `write` returns, so it survives a kill of the
    process. `sync` makes it survive a power failure too.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._batch: ContextVar[list[Record] | None] = ContextVar("batch", default=None)
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._number = max((int(file.stem) for file in self._segments()), default=0)
        self._size = 0
        self._unsynced = False
        self._is_new = False
        """True from the creation of the segment until the disk has stored its directory entry."""
        self.damaged: list[Path] = []
        """Segments in which `read` has found damaged lines."""

    @property
    def size(self) -> int:
        """The size of the current segment in bytes."""
        return self._size

    def write(self, record: Record) -> None:
        """Appends a record to the journal. Inside `batch`, adds it to the batch."""
        batch = self._batch.get()
        if batch is None:
            self._append([record])
        else:
            batch.append(record)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Writes all records of a `with` block as one line: a kill loses all or none of them."""
        records: list[Record] = []
        token = self._batch.set(records)
        try:
            yield
        finally:
            self._batch.reset(token)
            if records:
                self._append(records)

    def start_segment(self) -> int:
        """Starts a new segment for the records that follow, and returns its number."""
        with self._lock:
            self._close()
            self._number += 1
            return self._number

    def remove_before(self, number: int) -> None:
        """Deletes all segments with a lower number."""
        for segment in self._segments():
            if int(segment.stem) < number:
                segment.unlink()

    def read(self) -> Iterator[list[Record]]:
        """Yields the lines of all segments in order. Adds damaged segments to `self.damaged`.

        Skips an incomplete last line, which a kill or a power failure leaves.
        """
        for segment in self._segments():
            with segment.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        yield parse(line)
                    except ValueError:
                        if line.endswith("\n") and segment not in self.damaged:
                            self.damaged.append(segment)

    def sync(self) -> None:
        """Waits until the disk has stored all lines."""
        with self._lock:
            if not self._unsynced or self._descriptor is None:
                return
            descriptor = os.dup(self._descriptor)
            is_new = self._is_new
            self._unsynced = self._is_new = False
        try:
            os.fsync(descriptor)
            if is_new:
                sync_directory(self._directory)
        finally:
            os.close(descriptor)

    def _append(self, records: list[Record]) -> None:
        line = ENCODER.encode(records).encode() + b"\n"
        with self._lock:
            if self._descriptor is None:
                path = self._directory / f"{self._number:08d}{SUFFIX}"
                self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
                self._size = os.fstat(self._descriptor).st_size
                self._is_new = True
            try:
                if os.write(self._descriptor, line) < len(line):
                    raise OSError("The disk is full")
            except OSError:
                # The next line would otherwise be appended to the incomplete line.
                os.ftruncate(self._descriptor, self._size)
                raise
            self._size += len(line)
            self._unsynced = True

    def _close(self) -> None:
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            if self._is_new:
                sync_directory(self._directory)
            os.close(self._descriptor)
            self._descriptor = None
            self._size = 0
            self._unsynced = self._is_new = False

    def _segments(self) -> list[Path]:
        return sorted(self._directory.glob(f"*{SUFFIX}"))


def parse(line: str) -> list[Record]:
    """Returns the records of a line.

    Raises:
        ValueError: the line is incomplete or damaged.
    """
    records = json.loads(line, object_hook=persistence._json_object_hook)
    if not isinstance(records, list) or not all(isinstance(record, list) for record in records):
        raise ValueError("The line contains no records")
    return records


def sync_directory(directory: Path) -> None:
    """Waits until the disk has stored the names of the files in a directory."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
