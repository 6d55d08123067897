"""The CDKTF command line on the applied platform, in the environment that `ops env` prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ops.root import PROJECT
from tests.e2e.support import Platform, run_ops

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Cdktf:
    """Runs cdktf as an operator does who has evaluated `ops env local`."""

    def __init__(self, platform: Platform, out: Path) -> None:
        exports = shlex.split(run_ops(platform.root, "env", "local"))
        variables = dict(item.split("=", 1) for item in exports if "=" in item)
        self._environment = {**os.environ, **variables, "CI": "1", "PLATFORM_ENVIRONMENTS": "local"}
        self._out = out

    def __call__(self, *arguments: str) -> str:
        command = ["cdktf", *arguments, "--output", str(self._out)]
        done = subprocess.run(command, cwd=PROJECT, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return COLOURS.sub("", done.stdout)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cdktf")


@pytest.fixture(scope="module")
def cdktf(platform: Platform, out: Path) -> Cdktf:
    return Cdktf(platform, out)


def test_list_and_synth_name_the_environment(cdktf: Cdktf, out: Path) -> None:
    assert "local" in cdktf("list").split()
    assert "local" in cdktf("synth", "--hcl")
    assert (out / "stacks" / "local" / "cdk.tf").is_file()


def test_diff_deploy_and_output_work_on_the_environment(cdktf: Cdktf, out: Path, platform: Platform) -> None:
    """The apply that `ops up` made is found again through the state: nothing is made or removed."""
    cdktf("synth")
    planned = cdktf("diff", "local", "--skip-provider-lock", "--skip-synth")
    assert re.search(r"Plan: 0 to add, \d+ to change, 0 to destroy", planned), planned[-3000:]
    deployed = cdktf("deploy", "local", "--auto-approve", "--skip-provider-lock", "--skip-synth")
    assert re.search(r"Apply complete! Resources: 0 added, \d+ changed, 0 destroyed", deployed)
    answers = out / "outputs.json"
    cdktf("output", "local", "--skip-provider-lock", "--skip-synth", "--outputs-file", str(answers))
    assert json.loads(answers.read_text())["local"]["api_url"] == platform.api_url
