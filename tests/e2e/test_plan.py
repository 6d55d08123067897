"""A plan after the apply changes nothing but what the embedded AWS tells wrongly."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ops.root import Root
from ops.terraform import PARALLELISM
from ops.toolchain import terraform, terraform_variables
from tests.e2e.support import Platform

GAPS: dict[tuple[str, str], str] = {}
"""What may differ, by resource type and attribute, with the reason. A gap that no longer shows must go."""


def differences(change: dict[str, Any]) -> set[str]:
    """The attributes that a change would change."""
    before, after = change["before"] or {}, change["after"] or {}
    unknown = {name for name, value in (change["after_unknown"] or {}).items() if value}
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} | unknown


def plan(platform: Platform, file: Path) -> dict[str, Any]:
    """The plan of the applied stack as Terraform shows it."""
    root = Root(platform.root)
    variables = terraform_variables(root, {**os.environ, **platform.cloud.variables})

    def run(*arguments: str) -> str:
        command = [str(terraform(root)), *arguments]
        result = subprocess.run(
            command, cwd=platform.directory, env=variables, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    run("plan", "-input=false", "-lock=false", f"-parallelism={PARALLELISM}", f"-out={file}")
    shown: dict[str, Any] = json.loads(run("show", "-json", str(file)))
    return shown


def test_a_second_apply_would_change_nothing(platform: Platform, tmp_path: Path) -> None:
    shown = plan(platform, tmp_path / "plan")
    changes = [item for item in shown["resource_changes"] if item["change"]["actions"] != ["no-op"]]
    assert {tuple(item["change"]["actions"]) for item in changes} <= {("update",)}
    found = {(item["type"], attribute) for item in changes for attribute in differences(item["change"])}
    assert found == GAPS.keys()
    outputs = {name for name, change in shown["output_changes"].items() if change["actions"] != ["no-op"]}
    assert not outputs
