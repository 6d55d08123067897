"""Tests that checkov reports only the findings that skips.yml allows, with a reason."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.root import PROJECT
from tests.stack.references import resolved
from tests.stack.stacks import Stack

CHECKOV = PROJECT / "tools" / "checkov" / ".venv" / "bin" / "checkov"
ENVIRONMENTS = ("dev", "prod")
Finding = tuple[str, str]
"""A check and a resource's address."""


@dataclass(frozen=True)
class Skip:
    """A finding that is accepted for some resources."""

    check: str
    resources: str
    """A regular expression that must match the whole address."""
    reason: str
    environments: Collection[str] = ENVIRONMENTS

    def covers(self, environment: str, finding: Finding) -> bool:
        check, resource = finding
        is_match = re.fullmatch(self.resources, resource) is not None
        return check == self.check and environment in self.environments and is_match


SKIPS = [
    Skip(**entry)
    for entry in yaml.safe_load((PROJECT / "tools" / "checkov" / "skips.yml").read_text())
]
Findings = Mapping[str, set[Finding]]
"""The findings of each environment."""
Reports = Mapping[str, list[dict[str, Any]]]
"""The reports on all resources and on the policies, by environment."""


POLICY_TYPES = ("aws_iam_policy", "aws_iam_role_policy")
POLICY_CHECKS = {f"CKV_AWS_{number}" for number in (286, 287, 288, 289, 290, 355)}
"""Checks of allowed actions. checkov skips them for policies with references."""


@pytest.fixture(scope="module")
def reports(synthesized: Path, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Runs checkov on each environment, and again on its policies with resolved references.

    checkov reads only files, and opens no connections.
    """
    assert CHECKOV.exists(), "checkov is not installed: run `make test`"
    running = {
        environment: _check(
            Stack(environment, synthesized / environment), tmp_path_factory.mktemp(environment)
        )
        for environment in ENVIRONMENTS
    }
    return {
        environment: [_report(process) for process in processes]
        for environment, processes in running.items()
    }


@pytest.fixture(scope="module")
def findings(reports: Reports) -> Findings:
    return {environment: failed_checks(both) for environment, both in reports.items()}


def failed_checks(reports: Iterable[Mapping[str, Any]]) -> set[Finding]:
    return {
        (item["check_id"], item["resource"])
        for report in reports
        for item in report["results"]["failed_checks"]
    }


def run_checkov(stack: Stack, folder: Path) -> set[Finding]:
    """Returns checkov's findings in a stack and in its policies. Writes a plan to `folder`."""
    return failed_checks(_report(process) for process in _check(stack, folder))


def policies_as_plan(stack: Stack) -> dict[str, Any]:
    """Returns a plan that creates only the policies, in the format of `terraform show -json`."""
    policies = [
        {
            "address": f"{type_}.{label}",
            "mode": "managed",
            "type": type_,
            "name": label,
            "values": {"name": block["name"], "policy": resolved(stack, block["policy"])},
        }
        for type_ in POLICY_TYPES
        for label, block in stack.resources(type_).items()
    ]
    changes = [
        {**policy, "change": {"actions": ["create"], "before": None, "after": policy["values"]}}
        for policy in policies
    ]
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "planned_values": {"root_module": {"resources": policies}},
        "resource_changes": changes,
        "configuration": {"root_module": {}},
    }


def _check(stack: Stack, folder: Path) -> list[subprocess.Popen[str]]:
    """Starts checkov on a stack, and on its policies with resolved references."""
    plan = folder / "policies.json"
    plan.write_text(json.dumps(policies_as_plan(stack)))
    return [
        _start("-d", str(stack.directory), "--framework", "terraform_json", "--quiet"),
        _start("-f", str(plan), "--framework", "terraform_plan"),
    ]


def _start(*arguments: str) -> subprocess.Popen[str]:
    command = [str(CHECKOV), *arguments, "-o", "json", "--compact", "--skip-download"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _report(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate()
    assert process.returncode in {0, 1}, errors
    report: dict[str, Any] = json.loads(output)
    assert report["summary"]["parsing_errors"] == 0, errors
    return report


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_checks_run_on_all_resources_and_policies(
    reports: Reports, synthesized: Path, environment: str
) -> None:
    everything, policies = reports[environment]
    assert everything["summary"]["passed"] > 300
    checked = {
        (item["check_id"], item["resource"])
        for kind in ("passed_checks", "failed_checks")
        for item in policies["results"][kind]
    }
    stack = Stack(environment, synthesized / environment)
    addresses = {f"{type_}.{label}" for type_ in POLICY_TYPES for label in stack.resources(type_)}
    assert any("deploy-identity" in address for address in addresses)
    assert {(check, address) for check in POLICY_CHECKS for address in addresses} <= checked


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_finding_has_a_reviewed_skip(findings: Findings, environment: str) -> None:
    assert not [
        finding
        for finding in sorted(findings[environment])
        if not any(skip.covers(environment, finding) for skip in SKIPS)
    ]


@pytest.mark.parametrize("skip", SKIPS, ids=lambda skip: f"{skip.check} {skip.resources}")
def test_every_skip_still_covers_a_finding(findings: Findings, skip: Skip) -> None:
    for environment in skip.environments:
        assert any(skip.covers(environment, finding) for finding in findings[environment]), (
            environment
        )
    assert len(skip.reason) > 20
