"""Adds to a plan's review the checkov findings that the plan introduces."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ops.errors import OperatorError
from ops.review.review import Review
from ops.review.rules import Reason, Verdict
from ops.root import PROJECT
from ops.terraform.plan import Action

CHECKOV = PROJECT / "tools" / "checkov" / ".venv" / "bin" / "checkov"
SKIPS = PROJECT / "tools" / "checkov" / "skips.yml"
"""The file that lists accepted findings and the reason for accepting each of them."""
CHANGING = {Action.CREATE, Action.UPDATE, Action.REPLACE, Action.SUPERSEDE}

Findings = dict[tuple[str, str], str]
"""Maps the check id and the resource address of each failed check to the name of the check."""


def uses_checkov(
    chosen: bool | None, *, is_new_plan: bool, emulated: bool, checkov: Path = CHECKOV
) -> bool:
    """Returns True if a review includes checkov's findings.

    Args:
        chosen: the operator's choice. If it is None, the result is True if the review creates the
            plan, the plan is for AWS, and checkov is installed.
        is_new_plan: True if the review creates the plan. Creating a plan takes longer than running
            checkov. False if the review reads a plan file.
        emulated: True if the environment uses an emulated AWS.
    """
    if chosen is not None:
        return chosen
    return is_new_plan and not emulated and checkov.exists()


def with_checkov(review: Review, document: Mapping[str, Any], *, checkov: Path = CHECKOV) -> Review:
    """Returns the review with an additional reason for each finding that the plan introduces.

    Args:
        document: The plan, as printed by `terraform show -json`.

    Raises:
        OperatorError: checkov is not installed, or checkov failed.
    """
    if not checkov.exists():
        raise OperatorError(
            f"checkov is not installed at {checkov}:"
            " run `make test` once to install it, or use --no-checkov"
        )
    # Checkov also checks a copy of the plan that has no changes and in which the planned values are
    # those of the current state. The findings in the copy are not new.
    before = {
        **document,
        "planned_values": (document.get("prior_state") or {}).get("values", {}),
        "resource_changes": [],
    }
    with ThreadPoolExecutor(2) as pool:
        known, findings = pool.map(partial(_findings, checkov), (before, document))
    skips = yaml.safe_load(SKIPS.read_text(encoding="utf-8"))
    new = {
        key: name
        for key, name in findings.items()
        if key not in known and not _skipped(review.environment, key, skips)
    }
    changes = []
    for item in review.changes:
        reasons = [
            Reason(check, Verdict.REVIEW, f"checkov: {name}")
            for (check, address), name in sorted(new.items())
            if address == item.change.address and item.change.action in CHANGING
        ]
        merged = sorted([*item.reasons, *reasons], key=lambda reason: -reason.verdict)
        changes.append(replace(item, reasons=tuple(merged)))
    changes.sort(key=lambda item: (-item.verdict, item.construct.path, item.change.address))
    return replace(review, changes=tuple(changes))


def _findings(checkov: Path, document: Mapping[str, Any]) -> Findings:
    with tempfile.TemporaryDirectory() as directory:
        # The plan contains sensitive values, but only the current user can read the directory.
        file = Path(directory) / "plan.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        command = [str(checkov), "-f", str(file), "--framework", "terraform_plan", "-o", "json"]
        command += ["--compact", "--quiet", "--skip-download"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise OperatorError(f"checkov failed:\n{done.stderr.strip()}")
    report = json.loads(done.stdout)
    # If there are no resources to check, checkov prints a summary instead of a report.
    failed = report.get("results", {}).get("failed_checks", []) if isinstance(report, dict) else []
    return {(check["check_id"], check["resource"]): str(check["check_name"]) for check in failed}


def _skipped(
    environment: str, finding: tuple[str, str], skips: Sequence[Mapping[str, Any]]
) -> bool:
    """Returns True if skips.yml accepts a finding.

    An entry of skips.yml may contain a resource's address, or a name of the form
    `resource.<label>`, by which checkov reports most resources of a synthesized stack.
    """
    check, address = finding
    names = (address, f"resource.{address.partition('.')[2]}")
    return any(
        entry["check"] == check
        and environment in entry.get("environments", [environment])
        and any(re.fullmatch(entry["resources"], name) for name in names)
        for entry in skips
    )
