"""Tests the GitHub workflows: their syntax, security, and the order in which they deploy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.deployment_identity import SESSION_SECONDS
from modules.deployment_permissions import WORKFLOW_ROLES
from modules.packaging import AWS_PIP_ARGUMENTS
from ops.commands.index import ENTRIES
from ops.deployment.promote import GATES
from ops.root import PROJECT

GITHUB = PROJECT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
PINNED = re.compile(
    r"^\s*(?:- )?uses: (?:\./\.github/\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$",
    re.MULTILINE,
)
IAM_DEFAULT_SECONDS = 3_600
"""The longest session of a role that does not set max_session_duration (IAM user guide)."""
BIN = Path(sys.executable).parent


def load(name: str) -> Any:
    """Returns the content of a workflow. Corrects the key `on`, which YAML reads as a boolean."""
    workflow = yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text())
    return {"on" if key is True else key: value for key, value in workflow.items()}


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{file.stem}-{name}")
        for file in WORKFLOWS
        for name, job in load(file.stem)["jobs"].items()
    ]


def test_workflows_match_githubs_schemas() -> None:
    for kind, files in (("github-workflows", WORKFLOWS), ("github-actions", ACTIONS)):
        command = [
            str(BIN / "check-jsonschema"),
            "--builtin-schema",
            f"vendor.{kind}",
            *map(str, files),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


def test_zizmor_reports_no_findings() -> None:
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
def test_workflows_store_no_keys_and_grant_no_global_permissions(file: Path) -> None:
    text = file.read_text()
    assert "secrets." not in text
    assert "aws-access-key-id" not in text
    assert load(file.stem)["permissions"] == {}


@pytest.mark.parametrize("job", jobs())
def test_only_jobs_that_assume_a_role_request_an_oidc_token(job: Any) -> None:
    assumes = any("actions/assume-role" in step.get("uses", "") for step in job.get("steps", []))
    calls = "deploy-environment" in job.get("uses", "")
    assert ("id-token" in job["permissions"]) == (assumes or calls)
    assert "timeout-minutes" in job or calls


@pytest.mark.parametrize("job", jobs())
def test_credentials_last_for_the_whole_job_but_no_longer_than_the_role_allows(job: Any) -> None:
    for step in job.get("steps", []):
        if "actions/assume-role" not in step.get("uses", ""):
            continue
        [kind] = [kind for kind in WORKFLOW_ROLES if kind.upper() in step["with"]["role"]]
        seconds = int(step["with"].get("seconds", default_seconds()))
        assert job["timeout-minutes"] * 60 <= seconds
        assert seconds <= SESSION_SECONDS.get(kind, IAM_DEFAULT_SECONDS)


def default_seconds() -> str:
    action = yaml.safe_load((GITHUB / "actions" / "assume-role" / "action.yml").read_text())
    return str(action["inputs"]["seconds"]["default"])


def test_dev_staging_and_prod_are_deployed_in_this_order() -> None:
    workflow = load("deploy")
    assert workflow["on"] == {"push": {"branches": ["main"]}}
    order = {
        name: (job.get("needs"), job.get("with", {}).get("from"))
        for name, job in workflow["jobs"].items()
    }
    assert order == {
        "test": (None, None),
        "dev": ("test", None),
        "staging": ("dev", "dev"),
        "prod": ("staging", "staging"),
    }


def test_a_promotion_does_not_repeat_the_gates_that_earlier_steps_passed() -> None:
    steps = load("deploy-environment")["jobs"]["deploy"]["steps"]
    [promotion] = [step["run"] for step in steps if "ops promote" in step.get("run", "")]
    assert set(re.findall(r"--passed (\w+)", promotion)) == set(GATES)
    [first] = [step["run"] for step in steps if "ops deploy" in step.get("run", "")]
    assert 'ops smoke "$TARGET"' in first


def test_deployments_of_an_environment_run_one_at_a_time_with_its_protection_rules() -> None:
    job = load("deploy-environment")["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.environment }}"
    assert job["concurrency"] == {
        "group": "environment-${{ inputs.environment }}",
        "cancel-in-progress": False,
    }


def test_rollbacks_start_manually_and_drift_checks_audits_and_slow_tests_run_nightly() -> None:
    assert set(load("rollback")["on"]) == {"workflow_dispatch"}
    nightly = load("nightly")
    assert "schedule" in nightly["on"]
    assert set(nightly["jobs"]) == {"drift", "audit", "tests", "versions", "chaos"}


def test_each_change_is_tested_with_the_lambda_runtimes_python() -> None:
    action = yaml.safe_load((GITHUB / "actions" / "setup" / "action.yml").read_text())
    [version] = [item for item in AWS_PIP_ARGUMENTS if item.startswith("--python-version=")]
    assert action["inputs"]["python"]["default"] == version.partition("=")[2]
    assert load("nightly")["jobs"]["versions"]["strategy"]["matrix"]["python"] == [
        "3.11",
        "3.12",
        "3.14",
    ]


def test_an_audit_fails_if_a_package_cannot_be_looked_up() -> None:
    """Without --strict, pip-audit skips these packages and exits with status 0."""
    [command] = [
        line for line in (PROJECT / "Makefile").read_text().splitlines() if "pip-audit" in line
    ]
    assert "--strict" in command.split()
    commands = [step["run"] for step in load("nightly")["jobs"]["audit"]["steps"] if "run" in step]
    assert commands[0] == "make audit"


def test_a_pull_request_runs_the_checks_and_plans_every_environment() -> None:
    pull_request = load("pull-request")["jobs"]
    commands = [step["run"] for step in pull_request["check"]["steps"] if "run" in step]
    assert commands == ["make lint", "make synth", "make test"]
    assert pull_request["plan"]["strategy"]["matrix"]["environment"] == ["dev", "staging", "prod"]
    assert "pull_request_target" not in (GITHUB / "workflows" / "pull-request.yml").read_text()


def test_every_ops_command_in_a_workflow_exists() -> None:
    called = {
        verb for file in WORKFLOWS for verb in re.findall(r"-m ops ([a-z-]+)", file.read_text())
    }
    assert called
    assert called <= {entry.name for entry in ENTRIES}
