"""Synthesizes Terraform by running main.py, which is faster than the CDKTF command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.console import Progress
from ops.errors import OperatorError, check_for_full_disk
from ops.root import PROJECT, Root
from ops.terraform.toolchain import (
    node_variables,
    program_python,
    terraform,
    terraform_variables,
)

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


HCL = {"SYNTH_HCL_OUTPUT": "true"}
"""CDKTF's variable that selects HCL instead of JSON."""
_REFERENCES = re.compile(
    r"""^\s*(?:(?:depends_on|ignore_changes) = \[[^\]]*\]|provider = "aws\.\w+"$)""", re.MULTILINE
)
_TEXTS = re.compile(r"<<EOF\n(.*?\n)EOF$", re.DOTALL | re.MULTILINE)
"""Matches a heredoc. CDKTF writes each text of several lines as a heredoc, and appends a newline to
the text.
"""
_ENDS_OF_BLOCKS = re.compile(r"^\}\n(?=(?:resource|data|output|provider) )", re.MULTILINE)


def synthesize(
    environments: Sequence[str],
    out: Path,
    variables: Mapping[str, str],
    *,
    source: Path = PROJECT,
) -> None:
    """Writes `<out>/stacks/<environment>/cdk.tf.json` for each environment.

    Args:
        environments: Names of environments. An empty sequence means all environments.
        out: The output directory.
        variables: Environment variables for main.py, in addition to those of this process. If they
            include `HCL`, main.py writes cdk.tf instead of cdk.tf.json.
        source: The directory that contains main.py.

    Raises:
        OperatorError: The program failed. The message is its output.
    """
    environment = {**os.environ, **program_variables(), "CDKTF_OUTDIR": str(out), **variables}
    if environments:
        environment["PLATFORM_ENVIRONMENTS"] = ",".join(environments)
    with Progress(f"synthesizing {', '.join(environments) or 'all environments'}"):
        result = _run_program(environment, source)
    if result.returncode:
        _delete_incomplete_stacks(out)
        check_for_full_disk(result.stderr or result.stdout)
        raise OperatorError(f"Synthesis failed:\n{result.stderr.strip() or result.stdout.strip()}")


def _delete_incomplete_stacks(out: Path) -> None:
    """Deletes stacks that are incomplete because synthesis was killed or the disk was full."""
    for file in out.glob("stacks/*/cdk.tf.json"):
        try:
            json.loads(file.read_bytes())
        except ValueError:
            file.unlink()


def _run_program(environment: Mapping[str, str], source: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # -O skips the type checks of the bindings, which take a third of the run time. Tests run
        # with these checks.
        [program_python(), "-O", "main.py"],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def format_hcl(stack: Path, root: Root) -> None:
    """Formats the HCL of a stack, and corrects parts that differ from the JSON or cause a warning.

    CDKTF writes no indentation and no empty lines between blocks. It appends a newline to each text
    with several lines. It quotes the references of `depends_on`, `ignore_changes` and `provider`,
    which is deprecated.
    """
    file = stack / "cdk.tf"
    text = file.read_text(encoding="utf-8")
    text = _REFERENCES.sub(lambda match: match[0].replace('"', ""), text)
    text = _TEXTS.sub(_remove_appended_newline, text)
    file.write_text(_ENDS_OF_BLOCKS.sub("}\n\n", text), encoding="utf-8")
    result = subprocess.run(
        [str(terraform(root)), f"-chdir={stack}", "fmt", "-list=false"],
        env=terraform_variables(root),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise OperatorError(f"terraform cannot format {file}:\n{result.stderr.strip()}")


def _remove_appended_newline(match: re.Match[str]) -> str:
    text = match[1].removesuffix("\n")
    # A heredoc always ends with a newline. If the original text does not, `chomp` removes it.
    return f"<<EOF\n{text}EOF" if text.endswith("\n") else f"chomp(<<EOF\n{text}\nEOF\n)"
