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
    reviewed = run_review(platform, "--no-refresh", "--out", str(file))
    assert reviewed["environment"] == "local"
    # The embedded CloudWatch does not return all arguments of an alarm, so a plan is never empty.
    assert {"changed"} == set(reviewed["counts"])
    assert file.stat().st_mode & 0o077 == 0
    assert run_review(platform, "--plan", str(file)) == reviewed
    for path in tmp_path.glob("a.*"):
        shutil.copy(path, path.with_name(path.name.replace("a.", "b.", 1)))

    applied = json.loads(
        run_ops(platform.root, "apply", "local", "--reviewed", str(file), "--yes", "--json")
    )
    assert applied["changes"] == {"add": 0, "change": reviewed["counts"]["changed"], "remove": 0}
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
