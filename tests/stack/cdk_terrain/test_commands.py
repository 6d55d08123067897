"""Tests the command line of CDK Terrain from the first deployment of `local` to its removal."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ops.embedded import Addresses
from ops.root import PROJECT, Root
from tests.terraform import run

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]

CDKTN = PROJECT / "tools" / "cdktn" / "node_modules" / ".bin" / "cdktn"


def read_variables(root: Root) -> dict[str, str]:
    """Returns a shell's variables after CDK Terrain was selected and `ops env local` evaluated."""
    selected = {**os.environ, "PLATFORM_CDK": "cdktn"}
    printed = subprocess.run(
        [sys.executable, "-m", "ops", "env", "local", "--root", str(root.path)],
        cwd=PROJECT,
        env=selected,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    exports = [line.removeprefix("export ") for line in printed.splitlines()]
    return {**selected, **dict(shlex.split(line)[0].split("=", 1) for line in exports)}


def test_cdktn_synthesizes_deploys_and_destroys_the_local_stack(
    empty_cloud: Addresses, root: Root, tmp_path: Path
) -> None:
    variables = {**read_variables(root), "CI": "true"}

    def run_cdktn(*arguments: str) -> str:
        result = subprocess.run(
            [str(CDKTN), *arguments, "--output", str(tmp_path)],
            cwd=PROJECT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    stack = tmp_path / "stacks" / "local"
    run_cdktn("synth")
    metadata = json.loads((stack / "cdk.tf.json").read_text())["//"]["metadata"]
    assert metadata["version"] == run_cdktn("--version").strip()
    # Without `--skip-provider-lock`, the command would read the provider's checksums for other
    # operating systems from the registry, which may be unreachable.
    planned = run_cdktn("diff", "local", "--skip-provider-lock")
    assert re.search(r"Plan:\S* [3-9]\d\d to add, 0 to change, 0 to destroy", planned), planned
    run_cdktn("deploy", "local", "--auto-approve", "--skip-provider-lock")
    file = tmp_path / "outputs.json"
    run_cdktn("output", "local", "--skip-synth", "--outputs-file", str(file))
    assert json.loads(file.read_text())["local"]["functions"]
    run_cdktn("destroy", "local", "--auto-approve", "--skip-provider-lock")
    shown = json.loads(run(stack, root, "show", "-json", variables=variables))
    assert not shown.get("values", {}).get("root_module", {}).get("resources")
