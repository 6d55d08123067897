"""Deploys an environment: apply, migrate, shift traffic, publish the site, wait for /health.

Every step is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.checkout import checkout
from ops.cloud import Cloud
from ops.console import report
from ops.deployment.domain import wait_for_domain
from ops.deployment.health import Health, wait_until_healthy
from ops.deployment.migrations import run_migrations
from ops.deployment.site.operations import publish_project_site
from ops.doctor.examination import examine_cloud, require_no_failures
from ops.doctor.result import Finding
from ops.errors import OperatorError
from ops.functions.packages import package
from ops.functions.versions import MIGRATION, Functions, Live
from ops.root import Root
from ops.terraform.preparation import prepare_stack
from ops.terraform.runner import Apply, PlanFile, Terraform, describe_counts
from ops.terraform.state import outputs_or_none
from ops.traffic.dependencies import refuse_removals
from ops.traffic.ledger import Ledger, Lock
from ops.traffic.notify import News, Notifier, topic_of
from ops.traffic.release import Releaser, Settings, announced, describe_shift

DEPLOYMENT = "#stage"
"""The ledger key under which deployments are recorded."""


def _run(apply: Callable[[], Apply]) -> Apply:
    return apply()


@dataclass(frozen=True)
class Collaborators:
    """The functions that a deployment calls. Tests pass fakes."""

    run_apply: Callable[[Callable[[], Apply]], Apply] = _run
    """Calls the function that applies the plan. Deployments to the embedded AWS use
    `StateConsistency.apply` here. That method also records an interrupted apply, because the
    resources and the Terraform state may differ after it.
    """

    examine: Callable[[Cloud, Root], list[Finding]] = examine_cloud
    prepare_stack: Callable[[Cloud, Root, Path], Terraform] = prepare_stack
    package: Callable[[Cloud, Sequence[str]], dict[str, Path]] = package
    releaser: Callable[[Cloud, Mapping[str, Any], Ledger, Lock, str], Releaser] = Releaser
    publish_site: Callable[[Cloud, Mapping[str, Any]], list[str]] = publish_project_site
    wait_until_healthy: Callable[[str, str | None], Health] = wait_until_healthy
    wait_for_domain: Callable[[Cloud, str], Health] = wait_for_domain


def deploy_environment(
    cloud: Cloud,
    root: Root,
    out: Path,
    confirm: Callable[[PlanFile], None],
    *,
    settings: Settings | None = None,
    examined: bool = True,
    collaborators: Collaborators = Collaborators(),
) -> dict[str, Any]:
    """Deploys the checkout to an environment.

    Args:
        out: The output directory of synthesis.
        confirm: Receives the plan, and raises an exception to stop the deployment.
        settings: The canary weight and the bake period.
        examined: True to run the checks of `ops doctor` first. A failed check stops the deployment.

    Raises:
        OperatorError: A step failed. Running the command again resumes the work.
        InterruptedRunError: The operator interrupted the deployment.
    """
    if examined:
        _examine(cloud, root, collaborators)
    with Ledger(cloud).locked("deploy", cloud.operator) as lock:
        deployment = _Deployment(cloud, lock, settings or Settings(), collaborators)
        return deployment.run(root, out, confirm)


def _examine(cloud: Cloud, root: Root, collaborators: Collaborators) -> None:
    findings = collaborators.examine(cloud, root)
    require_no_failures(cloud.environment.name, findings)
    for finding in findings:
        if finding.status == "warning":
            report("\n".join(finding.lines()))


class _Deployment:
    """A running deployment, which holds the environment's lock."""

    def __init__(
        self, cloud: Cloud, lock: Lock, settings: Settings, collaborators: Collaborators
    ) -> None:
        self._cloud, self._lock, self._settings = cloud, lock, settings
        self._ledger = lock.ledger
        self._collaborators = collaborators
        self._gradual = cloud.environment.release_strategy == "gradual"

    def run(self, root: Root, out: Path, confirm: Callable[[PlanFile], None]) -> dict[str, Any]:
        outputs = outputs_or_none(self._cloud)
        before: dict[str, Live] = {}
        if outputs and self._lock.held:
            releaser = self._releaser(outputs)
            # All traffic must be on one version: Lambda rejects changes of provisioned concurrency
            # while an alias has weights.
            releaser.repair_traffic()
            before = {name: releaser.functions.live(name) for name in releaser.functions.names}
        stack = self._collaborators.prepare_stack(self._cloud, root, out)
        with stack.temporary_plan("release") as plan:
            if outputs and self._gradual:
                refuse_removals(stack.show(plan.file), Functions(self._cloud, outputs["functions"]))
            confirm(plan)
            news = News("deploy", [f"commit {checkout()}", describe_counts(plan.counts)])
            notifier = Notifier(self._cloud, topic_of(outputs or {}), self._cloud.operator)
            with announced(notifier, news):
                self._lock.check()
                applied = self._collaborators.run_apply(lambda: stack.apply(plan))
                report(f"Applied: {describe_counts(applied.counts)}")
                return self._finish(applied.outputs, applied.counts, before)

    def _finish(
        self, outputs: dict[str, Any], counts: dict[str, int], before: Mapping[str, Live]
    ) -> dict[str, Any]:
        releaser = self._releaser(outputs)
        records = self._shift_traffic(releaser, before)
        published = self._collaborators.publish_site(self._cloud, outputs)
        health = self._collaborators.wait_until_healthy(
            outputs["direct_health_url"], self._cloud.authority
        )
        # The deployment is recorded before the wait for a new domain. An operator may interrupt the
        # wait, but a promotion needs the record.
        values = {"commit": str(checkout()), "who": self._cloud.operator}
        self._ledger.store(DEPLOYMENT, self._ledger.now(), values)
        if self._cloud.environment.domains:
            health = self._collaborators.wait_for_domain(self._cloud, outputs["health_url"])
        return {
            "environment": self._cloud.environment.name,
            "apiUrl": outputs["api_url"],
            "changes": counts,
            "released": records,
            "published": published,
            "health": health.body,
        }

    def _shift_traffic(
        self, releaser: Releaser, before: Mapping[str, Live]
    ) -> list[dict[str, str]]:
        functions = releaser.functions
        migration = functions.names[MIGRATION]
        if not self._gradual:
            records = [*releaser.record_applied(before), *releaser.serve_checkout()]
            self._migrate(migration)
            report("Traffic: shifted by the apply (all_at_once)")
            return [describe_shift(record) for record in records]
        packages = self._collaborators.package(self._cloud, list(functions.names))
        # The migration function must run the new code, so its alias is updated before the other
        # functions.
        records = [
            releaser.shift_all(candidate.live, candidate.version, "release")
            for candidate in releaser.candidates([MIGRATION], packages)
        ]
        self._migrate(migration)
        candidates = releaser.candidates(functions.select("all"), packages)
        records += releaser.release(candidates, self._settings)
        return [describe_shift(record) for record in records]

    def _migrate(self, function: str) -> None:
        try:
            report(run_migrations(self._cloud, function).line())
        except OperatorError as error:
            raise OperatorError(
                f"{error}\nTraffic was not shifted, and the old code works with the current schema"
            ) from error

    def _releaser(self, outputs: Mapping[str, Any]) -> Releaser:
        return self._collaborators.releaser(
            self._cloud, outputs, self._ledger, self._lock, self._cloud.operator
        )
