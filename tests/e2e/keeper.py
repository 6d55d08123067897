"""Stops a platform when the process that started it ends or closes this one's standard input."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from ops.errors import OperatorError
from ops.local.platform import stop_platform
from ops.root import Root

INTERVAL = 1.0
"""Seconds between attempts, while an `up` whose caller ended still locks the root."""


def main(root: Root, logs: Path) -> None:
    """Waits, stops the platform, and deletes the root except for its logs, which show failures."""
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
