"""Tests that CDK Terrain synthesizes the same Terraform as CDKTF, from the same sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from environments import environment_names
from ops.root import PROJECT
from ops.terraform.toolchain import node_variables
from tests.stack.stacks import fixed_variables, read_files, synthesize

DIRECTORY = PROJECT / "tools" / "cdktn"
PYTHON = DIRECTORY / ".venv" / "bin" / "python"


def read_stacks(directory: Path) -> dict[str, bytes]:
    """Returns the contents of all files, without the metadata that names the CDK and its version.

    Also reformats the JSON, because CDKTF and CDK Terrain write empty objects and lists with
    different white space. Keeps the order of keys, which must be the same.
    """
    contents = read_files(directory)
    for name, content in contents.items():
        if name.endswith(".json"):
            document = json.loads(content)
            document.pop("//", None)
            contents[name] = json.dumps(document, indent=2).encode()
    return contents


def test_cdk_terrain_writes_the_same_stacks(synthesized: Path, tmp_path: Path) -> None:
    assert PYTHON.exists(), "CDK Terrain is not installed: run `make test`"
    stacks = synthesize(tmp_path, {"PLATFORM_CDK": "cdktn", **node_variables()}, PYTHON)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    pinned = json.loads((DIRECTORY / "package.json").read_text())["devDependencies"]["cdktn-cli"]
    assert manifest["version"] == pinned, "the stacks must come from CDK Terrain"
    terrain, cdktf = read_stacks(stacks), read_stacks(synthesized)
    assert {Path(name).parts[0] for name in cdktf} == set(environment_names())
    assert terrain.keys() == cdktf.keys()
    assert [name for name in cdktf if terrain[name] != cdktf[name]] == []


def test_an_unknown_or_absent_implementation_ends_synthesis_with_one_message() -> None:
    for name, message in (
        ("cdk", "PLATFORM_CDK is 'cdk': set it to cdktf or cdktn, or unset it"),
        ("cdktn", "has no package cdktn: run `make cdktn`"),
    ):
        result = subprocess.run(
            [sys.executable, "main.py"],
            cwd=PROJECT,
            env=fixed_variables({**os.environ, "PLATFORM_CDK": name}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1
        assert message in result.stderr
        assert "Traceback" not in result.stderr
