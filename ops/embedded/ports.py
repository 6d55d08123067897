"""Chooses free loopback ports for the embedded services."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from ops.root import Root

LOOPBACK = "127.0.0.1"
CANDIDATES = range(20000, 30000)
"""The ports to choose from.

They are lower than those that Linux (32768 up) and macOS (49152 up) use for outgoing connections.
"""

RELEASE_SECONDS = 3.0
"""Seconds in which the system frees the ports of a killed process and of its children."""

PLAIN_AWS = "aws-plain"
"""Key of the embedded AWS's port without TLS in ports.json."""


def ports_file(root: Root) -> Path:
    """Returns the file in the root directory that maps service names to ports."""
    return root.path / "ports.json"


def is_free(port: int) -> bool:
    """Returns True if a server can listen on the loopback port now."""
    with socket.socket() as probe:
        # The servers set this option too. It lets a server listen on a port while connections of
        # a stopped server on that port are in the state TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_soon_free(port: int) -> bool:
    """Returns True if a server can listen on the loopback port within RELEASE_SECONDS."""
    deadline = time.monotonic() + RELEASE_SECONDS
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def choose_port(taken: Collection[int] = (), candidates: Sequence[int] = CANDIDATES) -> int:
    """Returns a random port that is free and not in `taken`. Tries at most 1,000 candidates.

    Raises:
        RuntimeError: No candidate is free.
    """
    for port in random.sample(candidates, min(1000, len(candidates))):
        if port not in taken and is_free(port):
            return port
    raise RuntimeError(
        f"No free port found between {candidates[0]} and {candidates[-1]}: stop some programs that"
        f" listen on {LOOPBACK}"
    )
