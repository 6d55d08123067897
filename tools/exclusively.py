"""Runs a command after waiting until no other command holds the same lock.

    python tools/exclusively.py LOCK COMMAND [ARGUMENT ...]

`make setup` uses this program, so that two simultaneous runs in one checkout do not install into
the same folders. The lock is held until the command and all programs that it started have ended,
even if they are killed. If the lock file cannot be written, the checkout is read-only and nothing
can be installed in it, so the command runs without a lock.
"""

import fcntl
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Waits for the lock, then replaces this process by the command."""
    path, command = Path(sys.argv[1]), sys.argv[2:]
    # If an interrupt ends the wait, no traceback is printed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        path.parent.mkdir(exist_ok=True)
        lock = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError:
        os.execvp(command[0], command)  # noqa: S606 - the command is make
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write("Waiting until another `make setup` in this checkout has ended\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
