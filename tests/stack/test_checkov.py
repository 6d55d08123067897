"""Tests that checkov reports only the findings that skips.yml allows, with a reason."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ops.root import PROJECT

CHECKOV = PROJECT / "tools" / "checkov" / ".venv" / "bin" / "checkov"
ENVIRONMENTS = ("dev", "prod")
Finding = tuple[str, str]
"""A check and a resource's address."""


@dataclass(frozen=True)
class Skip:
    """A check that may fail for some resources."""

    check: str
    resources: str
    """A regular expression that must match the whole address."""
    reason: str
    environments: Collection[str] = ENVIRONMENTS

    def covers(self, environment: str, finding: Finding) -> bool:
        check, resource = finding
        fits = re.fullmatch(self.resources, resource) is not None
        return check == self.check and environment in self.environments and fits


SKIPS = [
    Skip(**entry)
    for entry in yaml.safe_load((PROJECT / "tools" / "checkov" / "skips.yml").read_text())
]
Findings = Mapping[str, set[Finding]]
"""The findings of each environment."""


@pytest.fixture(scope="module")
def findings(synthesized: Path) -> Findings:
    """Runs checkov on each environment. It only reads files and opens no connections."""
    assert CHECKOV.exists(), "checkov is not installed: run `make test`"
    running = {}
    for environment in ENVIRONMENTS:
        command = [
            str(CHECKOV),
            "-d",
            str(synthesized / environment),
            "--framework",
            "terraform_json",
            "-o",
            "json",
        ]
        command += ["--compact", "--quiet", "--skip-download"]
        running[environment] = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    findings = {}
    for environment, process in running.items():
        output, errors = process.communicate()
        assert process.returncode in {0, 1}, errors
        report = json.loads(output)
        assert report["summary"]["parsing_errors"] == 0, errors
        assert report["summary"]["passed"] > 300
        findings[environment] = {
            (item["check_id"], item["resource"]) for item in report["results"]["failed_checks"]
        }
    return findings


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_finding_was_reviewed(findings: Findings, environment: str) -> None:
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
