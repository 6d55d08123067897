"""Brings the commit that one environment runs to the next: the documented order dev, staging, prod, with its gates."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.checkout import Checkout, checkout
from ops.cloud import Cloud
from ops.console import say
from ops.deployment.deploy import DEPLOYMENT, deploy_environment
from ops.errors import OperatorError
from ops.root import PROJECT, Root
from ops.smoke.command import run_smoke_tests
from ops.terraform.runner import Plan
from ops.traffic.ledger import Ledger
from ops.traffic.release import Settings

GATE = "#gate"
PROMOTION = "#promotion"
"""The ledger's keys of gates that a commit has passed, and of promotions."""
SUITES: Mapping[str, Sequence[str]] = {
    "tests": ("-m", "not e2e"),
    "integration": ("-m", "e2e"),
}
"""The gates that are suites of tests, and what pytest is told; integration runs on an embedded platform of its own."""
GATES = (*SUITES, "smoke")
"""In the order in which they are passed; smoke tests ask the environment that is promoted from, and afterwards the other."""


@dataclass(frozen=True)
class Promotion:
    """What is promoted, and by whose leave."""

    source: Cloud
    target: Cloud
    approved_by: str | None = None
    passed: Collection[str] = ()
    """Gates that whoever promotes says this commit has passed: an earlier job of the same pipeline saw to them."""

    @property
    def vouched(self) -> bool:
        """The pipeline has brought this commit to `source` and all gates are passed, so that `source` is not asked again.

        Its job has the target's credentials, which lead to nothing of the source's.
        """
        return set(self.passed) >= set(GATES)


def promote_commit(
    promotion: Promotion,
    root: Root,
    out: Path,
    confirm: Callable[[Plan], None],
    *,
    settings: Settings | None = None,
    approve: Callable[[str], str] | None = None,
) -> dict[str, Any]:
    """Deploys what `source` runs to `target`, once its gates are passed and it is approved.

    Where a pipeline vouches for every gate, the source is not asked, not even whether it runs the commit; the record says so.

    Args:
        out: where synthesis writes.
        confirm: is shown the plan; raises to stop.
        settings: how traffic moves.
        approve: asks for the name of who approves; None: there is nobody to ask.

    Returns:
        What was promoted, each gate and when it was passed, and who approved.

    Raises:
        OperatorError: a stage would be skipped, the checkout is changed or not what `source` runs, a gate is not passed, or nobody
            approved.
    """
    source, target = promotion.source, promotion.target
    _check_order(source, target)
    here = checkout()
    _check_clean(here)
    if not promotion.vouched:
        _check_commit(here, source)
    who = target.who()
    gates = {name: _pass_gate(name, here, promotion) for name in GATES}
    approved_by = _approval(promotion, here, approve)
    result = deploy_environment(target, root, out, confirm, settings)
    _check_smoke_tests(target)
    values = {
        "from": source.environment.name,
        "to": target.environment.name,
        "commit": here.commit,
        "who": who,
        "gates": gates,
        "vouched": promotion.vouched,
        "approved_by": approved_by or "",
    }
    there = Ledger(target)
    there.note(PROMOTION, there.now(), values)
    return {**values, "deployment": result}


def _check_order(source: Cloud, target: Cloud) -> None:
    wanted = target.environment.promoted_from
    if wanted == source.environment.name:
        return
    name = target.environment.name
    raise OperatorError(
        f"{name} is promoted from {wanted}, not from {source.environment.name}: no stage is skipped"
        if wanted
        else f"{name} is promoted from no other environment: `ops deploy {name}`"
    )


def _check_clean(here: Checkout) -> None:
    if here.changed:
        raise OperatorError(
            "The checkout has changes that are in no commit: commit them, and promote from a clean checkout"
        )


def _check_commit(here: Checkout, source: Cloud) -> None:
    name = source.environment.name
    latest = Ledger(source).latest(DEPLOYMENT, 1)
    runs = latest[0]["commit"] if latest else None
    if runs != here.commit:
        raise OperatorError(
            f"{name} runs commit {runs}, and the checkout is at {here.commit}: check that one out, or deploy this one to {name} first"
            if runs
            else f"Nothing is known of what {name} runs: `ops deploy {name}` first"
        )


def _pass_gate(name: str, here: Checkout, promotion: Promotion) -> str:
    """When the commit has passed the gate; runs it if there is no record of that."""
    told = name in promotion.passed
    ledger, key = Ledger(promotion.source), f"{here.commit}/{name}"
    kept = name in SUITES and not promotion.vouched  # smoke tests are of the moment
    recorded = ledger.get(GATE, key) if kept else None
    if recorded:
        say(f"Gate {name}: passed at {recorded['passed_at']} by {recorded['who']}")
        return str(recorded["passed_at"])
    if not told and name in SUITES:
        _run_suite(name)
    elif not told:
        _check_smoke_tests(promotion.source)
    now = ledger.now()
    if kept:
        ledger.note(GATE, key, {"passed_at": now, "who": promotion.source.who(), "told": told})
    say(f"Gate {name}: passed{', by word of --passed' if told else ''}")
    return now


def _run_suite(name: str) -> None:
    say(f"Gate {name}: running")
    command = [sys.executable, "-m", "pytest", "-q", *SUITES[name]]
    # What a command does it says on standard error: its own answer may be JSON.
    status = subprocess.run(
        command, cwd=PROJECT, check=False, stdout=sys.stderr.fileno()
    ).returncode
    if status:
        raise OperatorError(
            f"Gate {name} is not passed (pytest ended with {status}): nothing was promoted"
        )


def _check_smoke_tests(cloud: Cloud) -> None:
    wrong = [check for check in run_smoke_tests(cloud) if not check.ok]
    if wrong:
        name = cloud.environment.name
        told = "; ".join(f"{check.request} {check.detail}" for check in wrong[:3])
        raise OperatorError(
            f"Smoke tests of {name} find {len(wrong)} wrong answers: {told}. `ops smoke {name}` shows all"
        )


def _approval(
    promotion: Promotion, here: Checkout, approve: Callable[[str], str] | None
) -> str | None:
    target = promotion.target.environment
    if not target.approval:
        return promotion.approved_by
    approved_by = promotion.approved_by or (
        approve(f"Promote {here.commit[:12]} to {target.name}. Your name approves it")
        if approve
        else ""
    )
    if not approved_by.strip():
        raise OperatorError(
            f"A promotion to {target.name} needs an approval: --approved-by NAME, or a terminal to ask at"
        )
    return approved_by.strip()
