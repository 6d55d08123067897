"""GitHub's workflows: their form, their security, and the documented order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.deployment.promote import GATES
from ops.root import PROJECT

GITHUB = PROJECT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
PINNED = re.compile(
    r"^\s*(?:- )?uses: (?:\./\.github/\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$",
    re.MULTILINE,
)
BIN = Path(sys.executable).parent


def load(name: str) -> Any:
    """A workflow; YAML reads the key `on` as a boolean."""
    found = yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text())
    return {"on" if key is True else key: value for key, value in found.items()}


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{file.stem}-{name}")
        for file in WORKFLOWS
        for name, job in load(file.stem)["jobs"].items()
    ]


def test_they_have_the_form_that_github_takes() -> None:
    for kind, files in (("github-workflows", WORKFLOWS), ("github-actions", ACTIONS)):
        command = [
            str(BIN / "check-jsonschema"),
            "--builtin-schema",
            f"vendor.{kind}",
            *map(str, files),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


def test_no_audit_finds_anything() -> None:
    command = [
        str(BIN / "zizmor"),
        "--quiet",
        "--offline",
        "--no-progress",
        "--min-severity",
        "medium",
        str(GITHUB),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "file", [*WORKFLOWS, *ACTIONS], ids=lambda file: file.parent.name + "-" + file.stem
)
def test_actions_are_pinned_by_commit(file: Path) -> None:
    text = file.read_text()
    assert len(PINNED.findall(text)) == text.count("uses: ")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_no_key_is_stored_and_nothing_is_granted_for_all_jobs(file: Path) -> None:
    text = file.read_text()
    assert "secrets." not in text
    assert "aws-access-key-id" not in text
    assert load(file.stem)["permissions"] == {}


@pytest.mark.parametrize("job", jobs())
def test_whoever_assumes_a_role_asks_for_a_token_and_nobody_else(job: Any) -> None:
    assumes = any(
        "configure-aws-credentials" in step.get("uses", "") for step in job.get("steps", [])
    )
    calls = "deploy-environment" in job.get("uses", "")
    assert ("id-token" in job["permissions"]) == (assumes or calls)
    assert "timeout-minutes" in job or calls


def test_dev_staging_and_prod_follow_each_other() -> None:
    found = load("deploy")
    assert found["on"] == {"push": {"branches": ["main"]}}
    order = {
        name: (job.get("needs"), job.get("with", {}).get("from"))
        for name, job in found["jobs"].items()
    }
    assert order == {
        "test": (None, None),
        "dev": ("test", None),
        "staging": ("dev", "dev"),
        "prod": ("staging", "staging"),
    }


def test_a_promotion_asks_nothing_of_the_stage_before_which_its_role_does_not_reach() -> None:
    steps = load("deploy-environment")["jobs"]["deploy"]["steps"]
    [promotion] = [step["run"] for step in steps if "ops promote" in step.get("run", "")]
    assert set(re.findall(r"--passed (\w+)", promotion)) == set(GATES)
    [first] = [step["run"] for step in steps if "ops deploy" in step.get("run", "")]
    assert 'ops smoke "$TARGET"' in first


def test_an_environment_is_deployed_once_at_a_time_under_its_protection_rules() -> None:
    job = load("deploy-environment")["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.environment }}"
    assert job["concurrency"] == {
        "group": "environment-${{ inputs.environment }}",
        "cancel-in-progress": False,
    }


def test_a_rollback_is_made_by_hand_and_drift_and_audit_by_night() -> None:
    assert set(load("rollback")["on"]) == {"workflow_dispatch"}
    nightly = load("nightly")
    assert "schedule" in nightly["on"]
    assert set(nightly["jobs"]) == {"drift", "audit"}


def test_an_audit_that_could_not_look_something_up_fails() -> None:
    """Without --strict pip-audit skips it and ends with 0, also where it has skipped everything."""
    [command] = [
        line for line in (PROJECT / "Makefile").read_text().splitlines() if "pip-audit" in line
    ]
    assert "--strict" in command.split()
    commands = [step["run"] for step in load("nightly")["jobs"]["audit"]["steps"] if "run" in step]
    assert commands[0] == "make audit"


def test_a_pull_request_is_checked_and_every_environment_planned() -> None:
    found = load("pull-request")["jobs"]
    commands = [step["run"] for step in found["check"]["steps"] if "run" in step]
    assert commands == ["make lint", "make synth", "make test"]
    assert found["plan"]["strategy"]["matrix"]["environment"] == ["dev", "staging", "prod"]
    assert "pull_request_target" not in (GITHUB / "workflows" / "pull-request.yml").read_text()


def test_every_command_they_call_exists() -> None:
    from ops.__main__ import app

    verbs = {
        command.name or str(command.callback.__name__)
        for command in app.registered_commands
        if command.callback
    }
    called = {
        verb for file in WORKFLOWS for verb in re.findall(r"-m ops ([a-z-]+)", file.read_text())
    }
    assert called - {"review"} <= verbs
