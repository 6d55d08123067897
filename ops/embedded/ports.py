"""Loopback ports of the services: chosen once, remembered, and chosen anew when somebody else has taken one."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"
RANGE = range(20000, 30000)
"""Below the ports that Linux (32768) and macOS (49152) give to outgoing connections."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of a server just stopped, still in TIME_WAIT, don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(taken: Collection[int]) -> int:
    """A free port outside `taken`.

    Raises:
        RuntimeError: none of a thousand tries was free.
    """
    for port in random.sample(RANGE, 1000):
        if port not in taken and is_free(port):
            return port
    raise RuntimeError(f"no free port found between {RANGE.start} and {RANGE.stop}")
