"""Tests that the configuration of Renovate covers the files that pin versions."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from ops.root import PROJECT
from tools.sbom.__main__ import read_pins

CONFIGURATION: dict[str, Any] = json.loads((PROJECT / "renovate.json").read_text())
MANAGERS = {
    "pipenv": r"(^|/)Pipfile$",
    "npm": r"(^|/)package\.json$",
    "github-actions": r"^\.github/(workflows/[^/]+|actions/[^/]+/action)\.yml$",
}
"""The files that Renovate's managers read by default."""


def test_every_file_with_versions_has_a_renovate_manager() -> None:
    names = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert set(CONFIGURATION["enabledManagers"]) == {*MANAGERS, "pip_requirements"}
    patterns = [
        *MANAGERS.values(),
        *(text.strip("/") for text in CONFIGURATION["pip_requirements"]["managerFilePatterns"]),
    ]
    pinning = [
        name
        for name in names
        if re.search(r"(^|/)(Pipfile|package\.json|requirements\.txt|action\.yml)$", name)
    ]
    assert len(pinning) > 20
    assert [
        name for name in pinning if not any(re.search(pattern, name) for pattern in patterns)
    ] == []


def test_the_pins_of_functions_are_updated_together_with_the_pipfile() -> None:
    [rule] = [
        rule
        for rule in CONFIGURATION["packageRules"]
        if "lambdas/**" in rule.get("matchFileNames", [])
    ]
    assert "Pipfile" in rule["matchFileNames"]
    assert set(rule["matchPackageNames"]) == {pin.partition("==")[0] for pin in read_pins()}


def test_only_updates_of_test_tools_and_actions_are_merged_without_a_review() -> None:
    merged = [rule for rule in CONFIGURATION["packageRules"] if rule.get("automerge")]
    assert [rule["groupName"] for rule in merged] == ["tests and checks", "actions"]
    assert all("major" not in rule["matchUpdateTypes"] for rule in merged)
    assert "automerge" not in CONFIGURATION


def test_index_addresses_are_removed_from_updated_lock_files() -> None:
    [command] = CONFIGURATION["postUpgradeTasks"]["commands"]
    assert command.startswith("python3 -m tools.lockfiles ")
