"""The zip package of a Lambda function."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Artifact:
    """The package of one function."""

    function: str
    path: Path
    """The path of the zip in the build folder."""
    digest: str
    """SHA-256 (hex) of the sources, and of the dependencies' pins, hashes and target platform."""

    @property
    def asset(self) -> str:
        """The path of the zip, relative to the stack's folder with Terraform files."""
        return f"assets/{self.function}/{self.digest[:16]}.zip"

    def copy_to(self, directory: Path) -> None:
        """Copies the zip to `asset` below a stack's folder.

        Deletes earlier zips of the same function from that folder.
        """
        target = directory / self.asset
        if not target.is_file():
            shutil.rmtree(target.parent, ignore_errors=True)
            target.parent.mkdir(parents=True)
            shutil.copyfile(self.path, target)
