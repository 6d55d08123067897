"""What checkov finds in a plan's resources and did not find in them before."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
"""What it may find, reviewed entry by entry."""
CHANGING = {Action.CREATE, Action.UPDATE, Action.REPLACE}

Findings = dict[tuple[str, str], str]
"""What a check is about, by its id and the resource's address."""


def with_checkov(review: Review, document: Mapping[str, Any]) -> Review:
    """The review with one more reason, of verdict `review`, for each check that a change fails from now on.

    Args:
        document: the plan, as `terraform show -json` has it.

    Raises:
        OperatorError: checkov is not installed, or failed.
    """
    if not CHECKOV.exists():
        raise OperatorError(
            "checkov has an environment of its own, which is not there: run `make test` once, or leave --checkov out"
        )
    # The same document with the values of now: what checkov finds there was there before.
    before = {
        **document,
        "planned_values": document.get("prior_state", {}).get("values", {}),
        "resource_changes": [],
    }
    with ThreadPoolExecutor(2) as beside:
        known, found = beside.map(_findings, (before, document))
    skips = yaml.safe_load(SKIPS.read_text(encoding="utf-8"))
    new = {
        key: says
        for key, says in found.items()
        if key not in known and not _skipped(review.environment, key, skips)
    }
    changes = []
    for item in review.changes:
        reasons = [
            Reason(check, Verdict.REVIEW, f"checkov: {says}")
            for (check, address), says in sorted(new.items())
            if address == item.change.address and item.change.action in CHANGING
        ]
        both = sorted([*item.reasons, *reasons], key=lambda reason: -reason.verdict)
        changes.append(replace(item, reasons=tuple(both)))
    changes.sort(key=lambda item: (-item.verdict, item.construct.path, item.change.address))
    return replace(review, changes=tuple(changes))


def _findings(document: Mapping[str, Any]) -> Findings:
    with tempfile.TemporaryDirectory() as directory:
        # A plan has sensitive values; the directory is its owner's alone and goes at once.
        file = Path(directory) / "plan.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        command = [str(CHECKOV), "-f", str(file), "--framework", "terraform_plan", "-o", "json"]
        command += ["--compact", "--quiet", "--skip-download"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise OperatorError(f"checkov failed:\n{done.stderr.strip()}")
    report = json.loads(done.stdout)
    # Where there is nothing to look at it answers with a bare summary.
    failed = report.get("results", {}).get("failed_checks", []) if isinstance(report, dict) else []
    return {(check["check_id"], check["resource"]): str(check["check_name"]) for check in failed}


def _skipped(
    environment: str, finding: tuple[str, str], skips: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether the reviewed file lets it pass; in a synthesized stack checkov calls most resources `resource.<label>`."""
    check, address = finding
    names = (address, f"resource.{address.partition('.')[2]}")
    return any(
        entry["check"] == check
        and environment in entry.get("environments", [environment])
        and any(re.fullmatch(entry["resources"], name) for name in names)
        for entry in skips
    )
