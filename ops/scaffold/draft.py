"""Changes a copy of the checkout, then moves all changed files to the checkout together."""

from __future__ import annotations

import filecmp
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import OperatorError
from ops.root import PROJECT

_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", ".local", ".build", "cdktf.out", "__pycache__", ".*_cache"
)
_SHARED = (".venv", "node_modules", ".build/bytecode", ".build/dependencies")
"""Folders that the copy shares with the checkout: installed packages and caches."""
_INTERRUPTS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def copy_checkout(target: Path, source: Path = PROJECT) -> None:
    """Copies the sources of the checkout, and links installed packages and caches into the copy."""
    shutil.copytree(source, target, symlinks=True, ignore=_NOT_COPIED, dirs_exist_ok=True)
    for name in _SHARED:
        if (source / name).exists():
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).symlink_to((source / name).resolve())


class Draft:
    """A copy of the checkout whose changes reach the checkout together or not at all.

    Args:
        path: The copy.
        checkout: The checkout from which `path` was copied.
    """

    def __init__(self, path: Path, checkout: Path) -> None:
        self.path = path
        self._checkout = checkout
        self._copied = {file: _modification(path / file) for file in self._files()}

    def insert(self, file: str, anchor: str, text: str) -> None:
        """Inserts a text before the first occurrence of `anchor` in a file.

        Raises:
            OperatorError: The file does not contain the anchor.
        """
        content = (self.path / file).read_text(encoding="utf-8")
        before, separator, after = content.partition(anchor)
        if not separator:
            raise OperatorError(
                f"{file} no longer contains {anchor.strip()!r}, before which this command inserts"
                f" {text.strip()!r}: add the service by hand as docs/operations/add-something.md"
                " describes"
            )
        (self.path / file).write_text(f"{before}{text}{separator}{after}", encoding="utf-8")

    def run(self, *arguments: str) -> str:
        """Runs a Python module in the copy and returns its output.

        Raises:
            OperatorError: The module failed.
        """
        result = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": str(self.path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise OperatorError(
                f"`python -m {' '.join(arguments)}` failed, so nothing was changed:\n"
                f"{result.stderr.strip() or result.stdout.strip()}"
            )
        return result.stdout

    def changed_files(self) -> list[Path]:
        """Returns the files that differ from those of the checkout, relative to the checkout."""
        return [
            file
            for file in self._files()
            if self._copied.get(file) != _modification(self.path / file)
            and not (
                (self._checkout / file).exists()
                and filecmp.cmp(self.path / file, self._checkout / file, shallow=False)
            )
        ]

    def publish(self) -> list[Path]:
        """Moves the changed files to the checkout, and returns them.

        Raises:
            OperatorError: Another program has changed a file in the checkout since the file was
                copied, or a file cannot be replaced. This method has then changed no file in the
                checkout.
        """
        files = self.changed_files()
        for file in files:
            if self._copied.get(file) != _modification(self._checkout / file):
                raise OperatorError(
                    f"Another program has changed {file} while this command was running. This"
                    " command has changed nothing: run it again"
                )
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
        try:
            self._replace(files)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return files

    def _replace(self, files: list[Path]) -> None:
        originals = Path(tempfile.mkdtemp(dir=self.path))
        replaced: list[Path] = []
        folders: list[Path] = []
        try:
            for number, file in enumerate(files):
                target = self._checkout / file
                folders += _create_folders(target.parent)
                if target.exists():
                    os.link(target, originals / str(number))
                (self.path / file).replace(target)
                replaced.append(target)
        except OSError as error:
            for number, target in enumerate(replaced):
                original = originals / str(number)
                if original.exists():
                    original.replace(target)
                else:
                    target.unlink()
            for folder in reversed(folders):
                folder.rmdir()
            raise OperatorError(
                f"{error.filename} cannot be written ({error.strerror}), so nothing was changed:"
                " correct this, then run the command again"
            ) from error

    def _files(self) -> list[Path]:
        return sorted(
            Path(folder, name).relative_to(self.path)
            for folder, folders, names in _walk(self.path)
            for name in names
        )


def _walk(path: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields the folders of a copy as `os.walk` does. Skips installed packages and caches."""
    for folder, folders, names in os.walk(path):
        ignored = _NOT_COPIED(folder, folders)
        folders[:] = [name for name in folders if name not in ignored]
        yield folder, folders, names


def _modification(file: Path) -> tuple[int, int] | None:
    """Returns a file's modification time and size, or None if the file does not exist."""
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_size


def _create_folders(folder: Path) -> list[Path]:
    """Creates a folder and its missing parents. Returns the created folders, parents first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


@contextmanager
def draft_of(checkout: Path = PROJECT) -> Iterator[Draft]:
    """Yields a draft of the checkout, and deletes the draft after the `with` block.

    Raises:
        OperatorError: The checkout is not writable.
    """
    try:
        (checkout / ".build").mkdir(exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix="draft-", dir=checkout / ".build"))
    except OSError as error:
        raise OperatorError(
            f"{checkout} is not writable ({error.strerror}): use a checkout that you may change"
        ) from error
    try:
        copy_checkout(path, checkout)
        yield Draft(path, checkout)
    finally:
        shutil.rmtree(path, ignore_errors=True)
