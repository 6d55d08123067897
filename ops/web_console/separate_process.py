"""Runs a module of the console in a separate process, whose memory is released when it ends."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec

from ops.root import PROJECT


class ModuleError(Exception):
    """Raised if the module failed. The message is the last line of its standard error."""


def run_module(name: str, *arguments: str, stdin: bytes) -> Any:
    """Runs a module of ops.web_console, and returns the JSON that it writes to standard output.

    Raises:
        ModuleError: The module failed.
    """
    command = [sys.executable, "-m", f"ops.web_console.{name}", *arguments]
    completed = subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=PROJECT)
    if completed.returncode:
        lines = completed.stderr.decode(errors="replace").strip()
        raise ModuleError(lines.rpartition("\n")[2])
    return msgspec.json.decode(completed.stdout)
