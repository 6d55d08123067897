"""Errors that a command reports without a traceback."""

import re

FULL_DISK = re.compile(r"no space left on device|ENOSPC|disk quota exceeded", re.IGNORECASE)


class OperatorError(Exception):
    """A failure whose message states the problem and the remedy. The command exits with status
    1.
    """


class InterruptedRunError(Exception):
    """The operator interrupted a command that is safe to repeat. The command exits with status
    130.
    """


class FullDiskError(OperatorError):
    """Raised if a program could not write a file because the disk is full."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"The disk is full: free some space and run the command again ({reason})")


def check_for_full_disk(output: str) -> None:
    """Raises an error if the output of a failed program says that the disk was full.

    Raises:
        FullDiskError: The output contains the operating system's message for a full disk.
    """
    for line in reversed(output.splitlines()):
        if FULL_DISK.search(line):
            raise FullDiskError(line.strip())
