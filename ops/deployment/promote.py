"""Promotes the commit of one environment to the next, in the order dev, staging, prod."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.checkout import Checkout, checkout
from ops.cloud import Cloud
from ops.console import report, without_progress
from ops.deployment.deploy import DEPLOYMENT, deploy_environment
from ops.errors import OperatorError
from ops.root import PROJECT, Root
from ops.smoke import Check
from ops.smoke.command import run_smoke_tests
from ops.terraform.runner import PlanFile
from ops.traffic.ledger import Ledger
from ops.traffic.release import Settings

GATE = "#gate"
PROMOTION = "#promotion"
"""The ledger keys under which passed gates (GATE) and promotions (PROMOTION) are recorded."""
SUITES: Mapping[str, Sequence[str]] = {
    "tests": ("-m", "not e2e"),
    "integration": ("-m", "e2e"),
}
"""Gates that are test suites, with their pytest options.

The integration suite starts its own embedded platform.
"""
GATES = (*SUITES, "smoke")
"""All gates, which a commit must pass before its promotion, in order.

The gate `smoke` tests the source environment. The target is tested after the deployment.
"""


@dataclass(frozen=True)
class Promotion:
    """A promotion from the environment `source_name` to the next one."""

    source_name: str
    target: Cloud
    connect_source: Callable[[], Cloud]
    """Connects to the source. Called only if a gate must run or the commit must be checked."""
    approved_by: str | None = None
    passed: Collection[str] = ()
    """Gates that earlier jobs of the same pipeline passed for this commit."""

    @cached_property
    def source(self) -> Cloud:
        return self.connect_source()

    @property
    def vouched(self) -> bool:
        """True if earlier jobs of the pipeline passed all gates.

        The source environment is then not accessed, because the pipeline job that promotes has
        credentials only for the target.
        """
        return set(self.passed) >= set(GATES)


def run_suite(name: str) -> None:
    """Runs one of the SUITES in the checkout.

    Raises:
        OperatorError: A test failed.
    """
    report(f"Gate {name}: running")
    command = [sys.executable, "-m", "pytest", "-q", *SUITES[name]]
    # Standard output is reserved for the JSON result of the command.
    with without_progress():
        status = subprocess.run(
            command, cwd=PROJECT, check=False, stdout=sys.stderr.fileno()
        ).returncode
    if status:
        raise OperatorError(
            f"Gate {name} failed (pytest exit status {status}): nothing was promoted"
        )


@dataclass(frozen=True)
class Collaborators:
    """The functions that a promotion calls."""

    checkout: Callable[[], Checkout] = checkout
    run_suite: Callable[[str], None] = run_suite
    run_smoke_tests: Callable[[Cloud], list[Check]] = run_smoke_tests
    deploy: Callable[..., dict[str, Any]] = deploy_environment


def promote_commit(
    promotion: Promotion,
    root: Root,
    out: Path,
    confirm: Callable[[PlanFile], None],
    *,
    settings: Settings | None = None,
    examined: bool = True,
    approve: Callable[[str], str] | None = None,
    collaborators: Collaborators = Collaborators(),
) -> dict[str, Any]:
    """Deploys the source's commit to the target if all gates pass and somebody approves it.

    If earlier jobs of the pipeline passed all gates, the source is not accessed, not even to check
    its commit. The record of the promotion then contains `vouched: true`.

    Args:
        out: The output directory of synthesis.
        confirm: Receives the plan, and raises an exception to stop the promotion.
        settings: The canary weight and the bake period.
        examined: Whether to run the checks of `ops doctor` on the target first.
        approve: Prompts for the approver's name; None if there is no terminal.

    Returns:
        The record of the promotion, with the time of each gate and the approver.

    Raises:
        OperatorError: The source does not precede the target, the checkout has changes or is at
            another commit than the source, a gate failed, or the approval is missing.
    """
    target = promotion.target
    _check_order(promotion)
    here = collaborators.checkout()
    _check_clean(here)
    if not promotion.vouched:
        _check_commit(here, promotion.source)
    gates = {name: _pass_gate(name, here, promotion, collaborators) for name in GATES}
    approved_by = _approval(promotion, here, approve)
    result = collaborators.deploy(target, root, out, confirm, settings=settings, examined=examined)
    _check_smoke_tests(target, collaborators)
    values = {
        "from": promotion.source_name,
        "to": target.environment.name,
        "commit": here.commit,
        "who": target.operator,
        "gates": gates,
        "vouched": promotion.vouched,
        "approved_by": approved_by or "",
    }
    ledger = Ledger(target)
    ledger.store(PROMOTION, ledger.now(), values)
    return {**values, "deployment": result}


def _check_order(promotion: Promotion) -> None:
    target = promotion.target.environment
    wanted, name = target.promoted_from, target.name
    if wanted == promotion.source_name:
        return
    raise OperatorError(
        f"{name} is promoted from {wanted}, not from {promotion.source_name}:"
        " environments cannot be skipped"
        if wanted
        else f"{name} is not promoted from another environment: run `ops deploy {name}`"
    )


def _check_clean(here: Checkout) -> None:
    if here.changed:
        raise OperatorError(
            "The checkout has uncommitted changes: commit them, and promote from a clean checkout"
        )


def _check_commit(here: Checkout, source: Cloud) -> None:
    name = source.environment.name
    latest = Ledger(source).latest(DEPLOYMENT, 1)
    runs = latest[0]["commit"] if latest else None
    if runs != here.commit:
        raise OperatorError(
            f"{name} runs commit {runs}, but the checkout is at {here.commit}: check out {runs},"
            f" or deploy the checkout to {name} first"
            if runs
            else f"The commit of {name} is not recorded: run `ops deploy {name}` first"
        )


def _pass_gate(
    name: str, here: Checkout, promotion: Promotion, collaborators: Collaborators
) -> str:
    """Runs the gate unless it is recorded as passed or an earlier job passed it.

    Returns the recorded time when the gate passed, or the current time.
    """
    vouched = name in promotion.passed
    ledger = Ledger(promotion.target if promotion.vouched else promotion.source)
    key = f"{here.commit}/{name}"
    # Only results of test suites are stored and reused: the smoke tests run before every promotion.
    # If earlier jobs passed all gates, this command runs no gate and stores no result.
    kept = name in SUITES and not promotion.vouched
    recorded = ledger.get(GATE, key) if kept else None
    if recorded:
        report(f"Gate {name}: passed at {recorded['passed_at']} by {recorded['who']}")
        return str(recorded["passed_at"])
    if not vouched and name in SUITES:
        collaborators.run_suite(name)
    elif not vouched:
        _check_smoke_tests(promotion.source, collaborators)
    now = ledger.now()
    if kept:
        ledger.store(
            GATE, key, {"passed_at": now, "who": promotion.source.operator, "told": vouched}
        )
    report(f"Gate {name}: passed{' in an earlier job (--passed)' if vouched else ''}")
    return now


def _check_smoke_tests(cloud: Cloud, collaborators: Collaborators) -> None:
    wrong = [check for check in collaborators.run_smoke_tests(cloud) if not check.ok]
    if wrong:
        name = cloud.environment.name
        details = "; ".join(f"{check.request} {check.detail}" for check in wrong[:3])
        raise OperatorError(
            f"The smoke tests of {name} received {len(wrong)} wrong responses: {details}."
            f" Run `ops smoke {name}` for the full list"
        )


def _approval(
    promotion: Promotion, here: Checkout, approve: Callable[[str], str] | None
) -> str | None:
    target = promotion.target.environment
    if not target.approval:
        return promotion.approved_by
    approved_by = promotion.approved_by or (
        approve(f"Promote {here.commit[:12]} to {target.name}. Enter your name to approve")
        if approve
        else ""
    )
    if not approved_by.strip():
        raise OperatorError(
            f"A promotion to {target.name} needs an approval: use --approved-by NAME, or run the"
            " command in a terminal"
        )
    return approved_by.strip()
