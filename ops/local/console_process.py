"""Starts and stops the web console of the platform on this machine."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass

from ops.embedded import EmbeddedCloud
from ops.embedded.ports import LOOPBACK
from ops.embedded.processes import Processes, base_environment
from ops.root import PROJECT, Root

CONSOLE = "console"
"""The name of the console's process, and of its port."""
SMALL_HEAP = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Settings of glibc's malloc that keep the memory of the process small: at most two arenas for all
threads, and a return of freed memory to the system when more than 64 KiB are free.
"""
SMALL_PYTHON = (sys.executable, "-OO")
"""Python without docstrings. They would take 3 MB of memory, mostly those of libraries."""
QUICK_STOP = 3.0
"""Seconds until a console that does not stop is killed. It has no data to save."""


@dataclass(frozen=True)
class ConsoleAddress:
    """The address of a console, with the token that its pages require."""

    port: int
    token: str

    def __str__(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/?token={self.token}"


def start_console(root: Root) -> ConsoleAddress:
    """Starts the console, without waiting for it. Replaces a running console, so that the current
    code runs.

    The port and the token stay the same, so that open pages continue to work.
    """
    stop_console(root)
    address = ConsoleAddress(EmbeddedCloud(root).reserve_port(CONSOLE), local_token(root))
    Processes(root).start(
        CONSOLE,
        console_command(address.port, root),
        port=address.port,
        environment={**base_environment(root), **SMALL_HEAP},
        cwd=PROJECT,
    )
    return address


def console_command(port: int, root: Root) -> list[str]:
    """Returns the command that serves the console of the local platform on a port."""
    return [*SMALL_PYTHON, "-m", "ops.web_console", str(port), str(root.path)]


def stop_console(root: Root) -> bool:
    """Stops the web console of the local platform. Returns True if it was running."""
    processes = Processes(root)
    process = processes.get(CONSOLE)
    if process is None:
        return False
    was_running = process.find() is not None
    processes.stop(process, timeout=QUICK_STOP)
    return was_running


def console_address(root: Root) -> ConsoleAddress | None:
    """Returns the address of the running console, or None."""
    process = Processes(root).get(CONSOLE)
    if process is None or process.find() is None:
        return None
    return ConsoleAddress(process.port, local_token(root))


def local_token(root: Root) -> str:
    """Returns the token of the local platform's console.

    Creates the file with the token if it is missing. Only the user who created it can read it.
    """
    file = root.path / "console-token"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(new_token())
    return file.read_text()


def new_token() -> str:
    """Returns a random token of 256 bits."""
    return secrets.token_urlsafe(32)
