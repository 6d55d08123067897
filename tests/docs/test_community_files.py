"""Tests the issue forms, the development container, the Git hooks and the changelog."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.root import PROJECT
from ops.terraform.toolchain import TERRAFORM_PINNED

FORMS = sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
HOOKS: list[dict[str, Any]] = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())[
    "repos"
][0]["hooks"]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_issue_forms_match_githubs_schema(form: Path) -> None:
    schema = "github-issue-config" if form.stem == "config" else "github-issue-forms"
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [checker, "--builtin-schema", f"vendor.{schema}", str(form)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_newest_changelog_entry_has_the_version_of_the_project() -> None:
    versions = re.findall(
        r"^## (\S+), (?:\d{4}-\d\d-\d\d|not yet released)$",
        (PROJECT / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert versions[0] == project["version"]
    numbers = [tuple(map(int, version.split("."))) for version in versions]
    assert numbers == sorted(numbers, reverse=True)


def test_the_development_container_has_the_pinned_terraform_and_a_supported_python() -> None:
    text = (PROJECT / ".devcontainer" / "devcontainer.json").read_text()
    container = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    (terraform,) = container["features"].values()
    assert terraform["version"] == TERRAFORM_PINNED
    assert container["postCreateCommand"] == "make setup"
    assert re.search(r"python:1-3\.1[1-4]-", container["image"])


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_git_hooks_pass_on_the_files_that_they_check(hook: dict[str, Any]) -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    # A hook without a file pattern checks only one folder of Python files here, as a sample.
    pattern = hook.get("files", r"^ops/[^/]+\.py$")
    checked = [file for file in files if re.search(pattern, file)]
    assert checked
    command = hook["entry"].split() + (checked if hook.get("pass_filenames", True) else [])
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
