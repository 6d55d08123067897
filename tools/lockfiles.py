"""Takes the addresses of package indexes out of lock files: `python -m tools.lockfiles FILE...` (used by `make lock`).

A lock file pins names, versions and hashes; where they are fetched from is the installing machine's own setting.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def without_addresses(lock: dict[str, Any]) -> dict[str, Any]:
    """A Pipfile.lock without sources and index names, or a package-lock.json without resolved and funding addresses."""
    if "_meta" in lock:
        lock["_meta"]["sources"] = []
        entries = [
            entry for section in ("default", "develop") for entry in lock.get(section, {}).values()
        ]
    else:
        entries = list(lock["packages"].values())
    for entry in entries:
        # `funding` is a link for people; npm installs without it.
        for key in ("index", "resolved", "funding"):
            entry.pop(key, None)
    return lock


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(
            json.dumps(
                without_addresses(json.loads(path.read_text())),
                indent=4 if "Pipfile" in name else 2,
            )
            + "\n"
        )
