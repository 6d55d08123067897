"""Tests that exactly the reviewed plan is applied, and that an older plan is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ops.root import PROJECT
from tests.e2e.support import Platform, run_ops


def review(platform: Platform, *options: str) -> dict[str, Any]:
    reviewed: dict[str, Any] = json.loads(
        run_ops(platform.root, "review", "local", *options, "--format", "json")
    )
    return reviewed


def test_exactly_the_reviewed_plan_is_applied(platform: Platform, tmp_path: Path) -> None:
    file, copy = tmp_path / "a.tfplan", tmp_path / "b.tfplan"
    reviewed = review(platform, "--no-refresh", "--out", str(file))
    assert reviewed["environment"] == "local"
    # The embedded CloudWatch does not return all arguments of an alarm, so a plan is never empty.
    assert {"changed"} == set(reviewed["counts"])
    assert file.stat().st_mode & 0o077 == 0
    assert review(platform, "--plan", str(file)) == reviewed
    for made in tmp_path.glob("a.*"):
        shutil.copy(made, made.with_name(made.name.replace("a.", "b.", 1)))

    applied = json.loads(
        run_ops(platform.root, "apply", "local", "--reviewed", str(file), "--yes", "--json")
    )
    assert applied["changes"] == {"add": 0, "change": reviewed["counts"]["changed"], "remove": 0}
    assert not file.exists(), "it cannot be applied twice"

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
    refused = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "is stale" in refused.stderr
