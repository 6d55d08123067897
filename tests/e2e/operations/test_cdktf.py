"""Tests plain `cdktf` with the variables that `ops env` prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ops.root import PROJECT
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform


@pytest.mark.nightly
def test_cdktf_finds_no_changes_on_the_applied_platform(platform: Platform, tmp_path: Path) -> None:
    exports = [
        line.removeprefix("export ") for line in run_ops(platform.root, "env", "local").splitlines()
    ]
    variables = dict(shlex.split(line)[0].split("=", 1) for line in exports)

    def run_cdktf(*arguments: str) -> str:
        command = [
            str(PROJECT / "node_modules" / ".bin" / "cdktf"),
            *arguments,
            "--output",
            str(tmp_path),
        ]
        environment = {**os.environ, **variables, "CI": "true"}
        result = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    # Without `--skip-provider-lock`, the command would read the provider's checksums for other
    # operating systems from the registry, which may be unreachable.
    changes = run_cdktf("diff", "local", "--skip-provider-lock")
    assert re.search(r"Plan:\S* 0 to add, \d+ to change, 0 to destroy", changes), changes[-3000:]
    outputs = tmp_path / "outputs.json"
    run_cdktf("output", "local", "--skip-synth", "--outputs-file", str(outputs))
    assert json.loads(outputs.read_text()) == {"local": platform.outputs}
