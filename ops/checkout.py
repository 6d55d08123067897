"""Reads the commit of the checkout."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from ops.root import PROJECT

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Checkout:
    """The commit of the checkout, and whether the checkout has uncommitted changes."""

    commit: str
    """The full hash, or `unknown` if git is not available."""
    changed: bool
    """True if the checkout has uncommitted changes, or if git is not available."""

    def __str__(self) -> str:
        return f"{self.commit}+changes" if self.changed else self.commit


def checkout() -> Checkout:
    """Returns the commit of the project's git checkout, and whether it has uncommitted changes."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return Checkout(UNKNOWN, changed=True)
    return Checkout(commit, changed=bool(_git("status", "--porcelain")))


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
