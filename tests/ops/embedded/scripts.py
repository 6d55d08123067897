"""Runs Python scripts that change modules of the emulator."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from ops.root import PROJECT


def run(script: str) -> str:
    """Runs a script in another process, and returns its output.

    In this process, its changes to the emulator's modules would affect other tests.
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(
        command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
