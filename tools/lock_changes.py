"""Reports the package versions that differ between lock files and their last commit.

    python -m tools.lock_changes FILE...

`make lock` runs this module.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Versions = dict[str, str]


def read_versions(lock: dict[str, Any]) -> Versions:
    """Returns the version of each package in a Pipfile.lock or package-lock.json."""
    if "_meta" in lock:
        groups = [group for name, group in lock.items() if name != "_meta"]
        return {
            name: entry.get("version", "").removeprefix("==")
            for group in groups
            for name, entry in group.items()
        }
    return {
        path.rpartition("node_modules/")[2]: entry["version"]
        for path, entry in lock["packages"].items()
        if path and "version" in entry
    }


def compare(before: Versions, after: Versions) -> Iterator[str]:
    """Yields one line for each package that was added, removed, or changed to another version."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{name}: {old or 'added'} -> {new or 'removed'}"


def main() -> None:
    """Prints the version changes of each lock file."""
    for name in sys.argv[1:]:
        committed = subprocess.run(
            ["git", "show", f"HEAD:./{name}"], capture_output=True, text=True, check=False
        )
        before = read_versions(json.loads(committed.stdout)) if committed.returncode == 0 else {}
        lines = list(compare(before, read_versions(json.loads(Path(name).read_text()))))
        print(f"{name}: {len(lines)} packages changed", *lines, sep="\n  ")


if __name__ == "__main__":
    main()
