"""Starts, updates and stops the platform on this machine."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.cloud import EMBEDDED, Cloud, connect
from ops.console import report
from ops.deployment.bootstrap import bootstrap_account
from ops.deployment.health import wait_until_healthy
from ops.deployment.migrations import run_migrations
from ops.deployment.site import publish
from ops.embedded import EmbeddedCloud
from ops.embedded.processes import MARKER
from ops.env_file import provider_keys
from ops.errors import InterruptedRunError
from ops.functions.versions import MIGRATION
from ops.root import Root, read_json, write_json
from ops.terraform.runner import Apply, Terraform, TerraformError, TerraformKilledError, changes
from ops.terraform.state import end_orphaned_run, remove_stale_lock
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import node_variables, terraform, terraform_variables
from ops.traffic.ledger import Ledger
from ops.traffic.release import Releaser
from ops.upkeep.secrets import Secrets, supply_provider_keys


@dataclass(frozen=True)
class StartedPlatform:
    """The result of starting the platform."""

    platform: dict[str, Any]
    """The content of platform.json."""
    seconds: dict[str, float]
    """Duration of each step."""


class Steps:
    """Measures the duration of consecutive steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = time.monotonic()

    def done(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._begun, 2)
        self._begun = now


def start_platform(root: Root) -> StartedPlatform:
    """Starts or updates the embedded cloud and the `local` environment in it.

    Applies the stack, migrates the database, publishes the site and waits for /health. It is safe
    to repeat, and recovers from a crash of any part: it restarts dead services and removes a stale
    state lock. If the embedded AWS or an apply was killed and the next apply fails, the AWS may
    not match Terraform's state, so it is emptied and recreated.

    Raises:
        OperatorError: a step failed.
        InterruptedRunError: the operator interrupted the command.
    """
    root.prepare()
    # Fail before starting anything if the toolchain is incomplete.
    executable = terraform(root)
    node_variables()
    with root.exclusive():
        steps = Steps()
        root.platform_file.unlink(missing_ok=True)
        end_orphaned_run(_directory(root))
        embedded = EmbeddedCloud(root)
        consistency = _StateConsistency(root)
        if embedded.start().aws_was_killed:
            consistency.doubt()
        if consistency.hopeless:
            report("The first apply was killed, so the embedded AWS is emptied and recreated")
            _reset(root, embedded, consistency)
        steps.done("start")
        doubtful = consistency.doubtful
        try:
            cloud, applied = _converge(root, executable, embedded, consistency, steps)
        except TerraformKilledError:
            raise
        except TerraformError as error:
            if not doubtful:
                raise
            report(
                "After a crash, the embedded AWS does not match Terraform's state, so it is emptied"
                f" and recreated:\n{error}"
            )
            _reset(root, embedded, consistency)
            cloud, applied = _converge(root, executable, embedded, consistency, steps)
        report(f"Applied: {changes(applied.counts)}")
        report(run_migrations(cloud, applied.outputs["functions"][MIGRATION]).line())
        steps.done("migrate")
        if publish(cloud, applied.outputs):
            report("Published the site")
        steps.done("publish")
        supply_provider_keys(Secrets(cloud), provider_keys())
        wait_until_healthy(applied.outputs["health_url"])
        steps.done("health")
        embedded.save_aws()
        steps.done("save")
        platform = {
            "apiUrl": applied.outputs["api_url"],
            "wsUrl": applied.outputs["ws_url"],
            "siteUrl": applied.outputs["site_url"],
            "awsEndpoint": cloud.endpoint,
            "stateBucket": cloud.environment.state.bucket,
            "outputs": applied.outputs,
        }
        write_json(root.platform_file, platform)
        return StartedPlatform(platform, steps.seconds)


def stop_platform(root: Root, *, purge: bool = False) -> list[str]:
    """Stops the embedded cloud and keeps its data.

    Args:
        purge: also delete the root directory.

    Returns:
        The names of the services that were running.

    Raises:
        OperatorError: `purge` is set but the platform did not create the directory, or another
            command is using it.
    """
    if not root.path.exists():
        return []
    if purge:
        root.check_own()
    with root.exclusive():
        end_orphaned_run(_directory(root))
        root.platform_file.unlink(missing_ok=True)
        stopped = EmbeddedCloud(root).stop()
        if purge:
            shutil.rmtree(root.path)
    return stopped


class _StateConsistency:
    """Records across crashes whether the embedded AWS may differ from Terraform's state."""

    def __init__(self, root: Root) -> None:
        self._file = root.path / "fit.json"
        stored = read_json(self._file) or {}
        self.doubtful: bool = stored.get("doubtful", False)
        """True if the AWS or an apply was killed since the last apply that ended normally."""
        self._applied: bool = stored.get("applied", False)

    @property
    def hopeless(self) -> bool:
        """True if an apply was killed before any succeeded, so that there is no data to keep."""
        return self.doubtful and not self._applied

    def doubt(self) -> None:
        self._write(doubtful=True, applied=self._applied)

    def confirm(self, *, succeeded: bool) -> None:
        """Records that an apply ended normally and stored its state."""
        self._write(doubtful=False, applied=self._applied or succeeded)

    def reset(self) -> None:
        self._write(doubtful=False, applied=False)

    def _write(self, *, doubtful: bool, applied: bool) -> None:
        self.doubtful, self._applied = doubtful, applied
        write_json(self._file, {"doubtful": doubtful, "applied": applied})


def _directory(root: Root) -> Path:
    return root.cdktf_out / "stacks" / EMBEDDED


def _reset(root: Root, embedded: EmbeddedCloud, consistency: _StateConsistency) -> None:
    # The next apply would store an errored state, which describes the AWS that is emptied here.
    for left in _directory(root).glob("errored*.tfstate"):
        left.unlink()
    embedded.reset_aws()
    consistency.reset()


def _converge(
    root: Root,
    executable: Path,
    embedded: EmbeddedCloud,
    consistency: _StateConsistency,
    steps: Steps,
) -> tuple[Cloud, Apply]:
    cloud = connect(EMBEDDED, root)
    # Bootstrap waits for the AWS and synthesis for the CPU, so they run in parallel.
    with ThreadPoolExecutor(max_workers=1) as executor:
        synthesis = executor.submit(synthesize, [EMBEDDED], root.cdktf_out, cloud.variables)
        bootstrap_account(cloud, billing=False)
        synthesis.result()
    steps.done("bootstrap and synthesis")
    remove_stale_lock(cloud, _directory(root))
    stack = Terraform(
        executable,
        _directory(root),
        {**terraform_variables(root), **cloud.variables, MARKER: str(root.path.resolve())},
        root.logs / "terraform.jsonl",
        guard=lambda: (
            None
            if embedded.is_aws_running()
            else "The embedded AWS stopped during the apply: run the same command again"
        ),
    )
    stack.init()
    steps.done("init")
    who = cloud.operator
    ledger = Ledger(cloud)
    with ledger.locked("up", who) as lock:
        doubtful = consistency.doubtful
        consistency.doubt()
        try:
            applied = stack.apply()
        except TerraformKilledError:
            raise
        except (TerraformError, InterruptedRunError):
            if not doubtful:
                consistency.confirm(succeeded=False)
            raise
        consistency.confirm(succeeded=True)
        steps.done("apply")
        releaser = Releaser(cloud, applied.outputs, ledger, lock, who)
        releaser.settle()
        if cloud.environment.release_strategy == "all_at_once":
            releaser.serve_checkout()
        steps.done("code")
    return cloud, applied
