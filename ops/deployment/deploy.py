"""Deploys an environment: apply, migrate, shift traffic, publish the site, wait for /health.

Every step is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ops.checkout import checkout
from ops.cloud import Cloud
from ops.console import report
from ops.deployment.health import wait_until_healthy
from ops.deployment.migrations import run_migrations
from ops.deployment.site import publish
from ops.errors import OperatorError
from ops.functions.packages import package
from ops.functions.versions import MIGRATION, Functions, Live
from ops.root import Root
from ops.terraform.runner import Plan, Terraform, changes
from ops.terraform.state import outputs_or_none, remove_stale_lock
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import terraform, terraform_variables
from ops.traffic.dependencies import refuse_removals
from ops.traffic.ledger import Ledger, Lock
from ops.traffic.notify import News, Notifier, topic_of
from ops.traffic.release import Releaser, Settings, announced, moved

DEPLOYMENT = "#stage"
"""The ledger key of deployments."""


def prepare_stack(cloud: Cloud, root: Root, out: Path) -> Terraform:
    """Synthesizes and initializes the environment's Terraform, and removes a stale state lock.

    Args:
        out: the output directory of synthesis.

    Raises:
        OperatorError: synthesis or initialization failed.
    """
    name = cloud.environment.name
    root.prepare()
    synthesize([name], out, cloud.variables)
    directory = out / "stacks" / name
    remove_stale_lock(cloud, directory)
    stack = Terraform(
        terraform(root),
        directory,
        {**terraform_variables(root), **cloud.variables},
        root.logs / f"terraform-{name}.jsonl",
    )
    stack.init()
    return stack


def deploy_environment(
    cloud: Cloud,
    root: Root,
    out: Path,
    confirm: Callable[[Plan], None],
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Deploys the checkout to an environment.

    Args:
        out: the output directory of synthesis.
        confirm: receives the plan, and raises to stop the deployment.
        settings: how a gradual release shifts traffic.

    Raises:
        OperatorError: a step failed. Running the command again resumes the work.
        InterruptedRunError: the operator interrupted the deployment.
    """
    who = cloud.operator
    ledger = Ledger(cloud)
    with ledger.locked("deploy", who) as lock:
        return _Deployment(cloud, ledger, lock, who, settings or Settings()).run(root, out, confirm)


class _Deployment:
    """One deployment that holds the environment's lock."""

    def __init__(
        self, cloud: Cloud, ledger: Ledger, lock: Lock, who: str, settings: Settings
    ) -> None:
        self._cloud, self._ledger, self._lock = cloud, ledger, lock
        self._who, self._settings = who, settings
        self._gradual = cloud.environment.release_strategy == "gradual"

    def run(self, root: Root, out: Path, confirm: Callable[[Plan], None]) -> dict[str, Any]:
        outputs = outputs_or_none(self._cloud)
        before: dict[str, Live] = {}
        if outputs and self._lock.held:
            releaser = self._releaser(outputs)
            # Lambda rejects changes of provisioned concurrency while an alias has weights.
            releaser.settle()
            before = {name: releaser.functions.live(name) for name in releaser.functions.names}
        stack = prepare_stack(self._cloud, root, out)
        file = stack.directory / "release.tfplan"
        try:
            plan = stack.plan(file)
            if outputs and self._gradual:
                refuse_removals(stack.show(file), Functions(self._cloud, outputs["functions"]))
            confirm(plan)
            news = News("deploy", [f"commit {checkout()}", changes(plan.counts)])
            notifier = Notifier(self._cloud, topic_of(outputs or {}), self._who)
            with announced(notifier, news):
                self._lock.check()
                applied = stack.apply(plan)
                report(f"Applied: {changes(applied.counts)}")
                return self._finish(applied.outputs, applied.counts, before)
        finally:
            file.unlink(missing_ok=True)

    def _finish(
        self, outputs: dict[str, Any], counts: dict[str, int], before: Mapping[str, Live]
    ) -> dict[str, Any]:
        releaser = self._releaser(outputs)
        records = self._move(releaser, before)
        published = publish(self._cloud, outputs)
        health = wait_until_healthy(outputs["health_url"])
        self._ledger.note(
            DEPLOYMENT, self._ledger.now(), {"commit": str(checkout()), "who": self._who}
        )
        return {
            "environment": self._cloud.environment.name,
            "apiUrl": outputs["api_url"],
            "changes": counts,
            "moved": records,
            "published": published,
            "health": health.body,
        }

    def _move(self, releaser: Releaser, before: Mapping[str, Live]) -> list[dict[str, str]]:
        functions = releaser.functions
        migration = functions.names[MIGRATION]
        if not self._gradual:
            records = [*releaser.note_applied(before), *releaser.serve_checkout()]
            self._migrate(migration)
            report("Traffic: the apply shifted it (all_at_once)")
            return [moved(record) for record in records]
        packages = package(self._cloud, list(functions.names))
        # The migration function must run the new code, so its alias is updated first.
        records = [
            releaser.move(candidate.live, candidate.version, "release")
            for candidate in releaser.candidates([MIGRATION], packages)
        ]
        self._migrate(migration)
        candidates = releaser.candidates(functions.select("all"), packages)
        records += releaser.release(candidates, self._settings)
        return [moved(record) for record in records]

    def _migrate(self, function: str) -> None:
        try:
            report(run_migrations(self._cloud, function).line())
        except OperatorError as error:
            raise OperatorError(
                f"{error}\nTraffic was not shifted, and the old code works with the current schema"
            ) from error

    def _releaser(self, outputs: Mapping[str, Any]) -> Releaser:
        return Releaser(self._cloud, outputs, self._ledger, self._lock, self._who)
