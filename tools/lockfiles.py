"""Removes package index URLs from lock files: `python -m tools.lockfiles FILE...`.

`make lock` runs this module. A lock file without URLs works with every package index: pip and npm
take the URL of the index from the settings of the machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def remove_index_addresses(lock: dict[str, Any]) -> dict[str, Any]:
    """Returns a lock file without package index addresses.

    Removes the sources and index names of a Pipfile.lock, and the URLs of a package-lock.json.
    """
    if "_meta" in lock:
        lock["_meta"]["sources"] = []
        entries = [
            entry for name, group in lock.items() if name != "_meta" for entry in group.values()
        ]
    else:
        entries = list(lock["packages"].values())
    for entry in entries:
        # npm does not need `funding`, which contains URLs of donation pages. It is deleted as well.
        for key in ("index", "resolved", "funding"):
            entry.pop(key, None)
    return lock


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(
            json.dumps(
                remove_index_addresses(json.loads(path.read_text())),
                indent=4 if "Pipfile" in name else 2,
            )
            + "\n"
        )
