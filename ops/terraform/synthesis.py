"""Writes environments' Terraform: runs main.py the way the CDKTF command line does, without its start-up."""

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


def program_variables(out: Path) -> dict[str, str]:
    """What main.py is run with to write to `out`, besides the process's environment.

    Bytecode is kept whatever the environment says of it, in a directory of ours: without it every run compiles the bindings again, which takes
    about a third of its time.
    """
    return {
        **node_variables(),
        "CDKTF_OUTDIR": str(out),
        "PYTHONPYCACHEPREFIX": str(BYTECODE),
        "PYTHONDONTWRITEBYTECODE": "",
    }


def synthesize(environments: Sequence[str], out: Path, variables: Mapping[str, str]) -> None:
    """Writes `<out>/stacks/<environment>/cdk.tf.json` for each environment; none named means all.

    Args:
        environments: names of environments.
        out: the output directory.
        variables: what environment files refer to, on top of the process's environment.

    Raises:
        OperatorError: the program failed; the message is its own.
    """
    environment = {**os.environ, **program_variables(out), **variables}
    if environments:
        environment["PLATFORM_ENVIRONMENTS"] = ",".join(environments)
    result = subprocess.run(
        # -O leaves out the type checks of the generated bindings, which the tests keep: a third of the time.
        [sys.executable, "-O", "main.py"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise OperatorError(f"Synthesis failed:\n{result.stderr.strip() or result.stdout.strip()}")
