"""Takes a platform down once whoever started it is gone: closed its standard input, failed, or was killed."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from ops.errors import OperatorError
from ops.local.platform import stop_platform
from ops.root import Root

INTERVAL = 1.0
"""Seconds between tries, while an `up` that lost its caller still holds the root."""


def main(root: Root, logs: Path) -> None:
    """Waits, then takes down and removes the root, but for its logs: they tell what went wrong."""
    sys.stdin.read()
    shutil.copytree(root.logs, logs, dirs_exist_ok=True)
    while True:
        try:
            stop_platform(root, purge=True)
        except OperatorError:
            time.sleep(INTERVAL)
        else:
            return


if __name__ == "__main__":
    main(Root(Path(sys.argv[1])), Path(sys.argv[2]))
