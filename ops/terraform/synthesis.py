"""Synthesizes Terraform by running main.py, which is faster than the CDKTF command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.errors import OperatorError
from ops.root import PROJECT
from ops.terraform.toolchain import node_variables

BYTECODE = PROJECT / ".build" / "bytecode"


def program_variables() -> dict[str, str]:
    """Returns the environment variables that main.py needs in addition to those of this process.

    They select Node, and a bytecode cache in the project's build directory. Without the cache, each
    run spends a third of its time on compiling the provider bindings.
    """
    return {
        **node_variables(),
        "PYTHONPYCACHEPREFIX": str(BYTECODE),
        "PYTHONDONTWRITEBYTECODE": "",
    }


def synthesize(environments: Sequence[str], out: Path, variables: Mapping[str, str]) -> None:
    """Writes `<out>/stacks/<environment>/cdk.tf.json` for each environment.

    Args:
        environments: Names of environments. An empty sequence means all environments.
        out: The output directory.
        variables: Variables for the environment files, in addition to the process's environment.

    Raises:
        OperatorError: The program failed. The message is its output.
    """
    environment = {**os.environ, **program_variables(), "CDKTF_OUTDIR": str(out), **variables}
    if environments:
        environment["PLATFORM_ENVIRONMENTS"] = ",".join(environments)
    result = subprocess.run(
        # -O skips the bindings' type checks, a third of the run time. Tests run them.
        [sys.executable, "-O", "main.py"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise OperatorError(f"Synthesis failed:\n{result.stderr.strip() or result.stdout.strip()}")
