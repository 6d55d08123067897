"""Runs beside the tests and stops their platform when the test process ends.

Reads standard input until the test process closes it, which also happens if that is killed.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from ops.errors import OperatorError
from ops.local.platform import stop_platform
from ops.root import Root

INTERVAL = 1.0
"""Seconds between attempts to stop while `ops up` still holds the lock of the root."""


def main(root: Root, logs: Path) -> None:
    """Waits, copies the logs, stops the platform and deletes its working directory (root)."""
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
