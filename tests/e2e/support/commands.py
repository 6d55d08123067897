"""Runs the operator's commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ops.root import PROJECT
from tests.e2e.support.trust import without_trust


def run_ops(
    root: Path,
    *arguments: str,
    stdin: str = "",
    variables: Mapping[str, str] = {},
    status: int = 0,
) -> str:
    """Runs `python -m ops` with `stdin` as its standard input, and returns its standard output.

    Args:
        variables: environment variables in addition to those of this process.
        status: the expected exit status.

    Raises:
        AssertionError: the exit status differs. The message contains the standard error.
    """
    command = [sys.executable, "-m", "ops", *arguments, "--root", str(root)]
    environment = {**without_trust(), **variables}
    result = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
    )
    assert result.returncode == status, (
        f"ops {' '.join(arguments)} ended with {result.returncode}:\n{result.stderr[-5000:]}"
    )
    return result.stdout
