"""Tests that exactly the reviewed plan is applied, and that a stale plan is rejected."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ops.root import PROJECT
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform


def run_review(platform: Platform, *options: str) -> dict[str, Any]:
    reviewed: dict[str, Any] = json.loads(
        run_ops(platform.root, "review", "local", *options, "--format", "json")
    )
    return reviewed


def test_exactly_the_reviewed_plan_is_applied(platform: Platform, tmp_path: Path) -> None:
    file, copy = tmp_path / "a.tfplan", tmp_path / "b.tfplan"
    # Terraform reads the manual change, and plans to undo it.
    logs, group = platform.aws("logs"), "/aws/lambda/health-lambda-local"
    logs.put_retention_policy(logGroupName=group, retentionInDays=30)
    reviewed = run_review(platform, "--out", str(file))
    assert reviewed["environment"] == "local"
    assert reviewed["counts"]["changed"] >= 1
    assert file.stat().st_mode & 0o077 == 0
    assert run_review(platform, "--plan", str(file)) == reviewed
    for path in tmp_path.glob("a.*"):
        shutil.copy(path, path.with_name(path.name.replace("a.", "b.", 1)))

    applied = json.loads(
        run_ops(platform.root, "apply", "local", "--reviewed", str(file), "--yes", "--json")
    )
    assert applied["changes"] == {"add": 0, "change": reviewed["counts"]["changed"], "remove": 0}
    [log_group] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert log_group["retentionInDays"] != 30
    assert not file.exists(), "a plan cannot be applied twice"

    command = [
        sys.executable,
        "-m",
        "ops",
        "apply",
        "local",
        "--reviewed",
        str(copy),
        "--yes",
        "--root",
        str(platform.root),
    ]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "is stale" in result.stderr
