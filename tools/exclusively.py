"""Runs a command after waiting until no other command holds the same lock.

    python tools/exclusively.py LOCK COMMAND [ARGUMENT ...]

The Makefile starts all installations with this program, so that two simultaneous runs in one
checkout do not install into the same folders. The lock is held until the command and all programs
that it started have ended, even if this program is killed earlier. If the lock file cannot be
written, the checkout is read-only and nothing can be installed in it, so the command runs without a
lock.

After Ctrl-C, sends SIGTERM to the command and all programs that it started, and exits with status
130. A second Ctrl-C kills them. venv and pipenv would print tracebacks after SIGINT.
"""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

INTERRUPTED = 130


def run(command: list[str]) -> int:
    """Runs the command in a separate process group and returns its exit status."""
    stops: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def stop(number: int, _: object) -> None:
        stops.append(number)
        if process and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM if len(stops) == 1 else signal.SIGKILL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    # The kernel suspends a background process that reads from the terminal, so the command has no
    # standard input. The command inherits the lock, and make's file descriptors for parallel jobs.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False, process_group=0)
    if stops:
        os.killpg(process.pid, signal.SIGTERM)
    status = process.wait()
    if stops:
        sys.stderr.write("Stopped: run the same command again to continue\n")
        return INTERRUPTED
    return status if status >= 0 else 128 - status


def main() -> None:
    """Waits for the lock, then runs the command and exits with its status."""
    path, command = Path(sys.argv[1]), sys.argv[2:]
    # Ctrl-C during the wait ends this program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        path.parent.mkdir(exist_ok=True)
        lock = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError:
        sys.exit(run(command))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write("Waiting until another installation in this checkout has ended\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)
    sys.exit(run(command))


if __name__ == "__main__":
    main()
