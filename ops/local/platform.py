"""Brings the whole platform up on this machine, or up to date, and takes it down again."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.cloud import EMBEDDED, Cloud, connect
from ops.console import say
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
    """What `up` did."""

    platform: dict[str, Any]
    """The content of platform.json."""
    seconds: dict[str, float]
    """How long each step took."""


class Steps:
    """Measures consecutive steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = time.monotonic()

    def done(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._begun, 2)
        self._begun = now


def start_platform(root: Root) -> StartedPlatform:
    """Starts the embedded cloud, applies the `local` environment to it, migrates the database, publishes
    the page and waits for /health.

    Repeating it converges, and continues after a crash of any part: dead services are started again, a state lock of a dead run
    is removed, and where the AWS and Terraform's state no longer fit together (an apply fails after the AWS, or an earlier
    apply, was killed) the AWS is emptied and made anew.

    Raises:
        OperatorError: the message says what to do.
        InterruptedRunError: the operator stopped it.
    """
    root.prepare()
    # What is wrong with the machine is found before anything is started.
    executable = terraform(root)
    node_variables()
    with root.exclusive():
        steps = Steps()
        root.platform_file.unlink(missing_ok=True)
        end_orphaned_run(_directory(root))
        embedded = EmbeddedCloud(root)
        trust = _StateTrust(root)
        if embedded.start().killed:
            trust.doubt()
        if trust.hopeless:
            say("The first apply was killed half-way, so the embedded AWS is emptied and made anew")
            _reset(root, embedded, trust)
        steps.done("start")
        doubtful = trust.doubtful
        try:
            cloud, applied = _converge(root, executable, embedded, trust, steps)
        except TerraformKilledError:
            raise
        except TerraformError as error:
            if not doubtful:
                raise
            say(
                f"After a crash the embedded AWS does not fit Terraform's state, so it is emptied and made anew:\n{error}"
            )
            _reset(root, embedded, trust)
            cloud, applied = _converge(root, executable, embedded, trust, steps)
        say(f"Applied: {changes(applied.counts)}")
        say(run_migrations(cloud, applied.outputs["functions"][MIGRATION]).line())
        steps.done("migrate")
        if publish(cloud, applied.outputs):
            say("Published the status page")
        steps.done("publish")
        supply_provider_keys(Secrets(cloud), provider_keys())
        wait_until_healthy(applied.outputs["health_url"])
        steps.done("health")
        embedded.save()
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
    """Stops the embedded cloud so that it keeps its data; `purge` removes the root with everything in it.

    Returns:
        The names of the services that ran.

    Raises:
        OperatorError: `purge` of a directory that is not the platform's own; or another command is at work on it.
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


class _StateTrust:
    """Whether the embedded AWS is sure to hold what Terraform's state says; kept in a file, so that a crash can't lose it."""

    def __init__(self, root: Root) -> None:
        self._file = root.path / "fit.json"
        found = read_json(self._file) or {}
        self.doubtful: bool = found.get("doubtful", False)
        """The AWS or an apply was killed since the last apply that ended by itself."""
        self._applied: bool = found.get("applied", False)

    @property
    def hopeless(self) -> bool:
        """An apply was killed before any succeeded: what it made is in nobody's way but its own, and there is no data to keep."""
        return self.doubtful and not self._applied

    def doubt(self) -> None:
        self._write(doubtful=True, applied=self._applied)

    def confirm(self, *, succeeded: bool) -> None:
        """An apply ended by itself, its state stored."""
        self._write(doubtful=False, applied=self._applied or succeeded)

    def reset(self) -> None:
        self._write(doubtful=False, applied=False)

    def _write(self, *, doubtful: bool, applied: bool) -> None:
        self.doubtful, self._applied = doubtful, applied
        write_json(self._file, {"doubtful": doubtful, "applied": applied})


def _directory(root: Root) -> Path:
    return root.cdktf_out / "stacks" / EMBEDDED


def _reset(root: Root, embedded: EmbeddedCloud, trust: _StateTrust) -> None:
    # A state that an apply could not store tells of the AWS that is emptied: the next apply would store it.
    for left in _directory(root).glob("errored*.tfstate"):
        left.unlink()
    embedded.reset_aws()
    trust.reset()


def _converge(
    root: Root, executable: Path, embedded: EmbeddedCloud, trust: _StateTrust, steps: Steps
) -> tuple[Cloud, Apply]:
    cloud = connect(EMBEDDED, root)
    # Bootstrap mostly waits for the AWS, synthesis for the processor: side by side they take as long as the longer one.
    with ThreadPoolExecutor(max_workers=1) as beside:
        synthesis = beside.submit(synthesize, [EMBEDDED], root.cdktf_out, cloud.variables)
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
            if embedded.alive()
            else "The embedded AWS died during the apply: run the same command again"
        ),
    )
    stack.init()
    steps.done("init")
    who = cloud.who()
    ledger = Ledger(cloud)
    with ledger.locked("up", who) as lock:
        doubtful = trust.doubtful
        trust.doubt()
        try:
            applied = stack.apply()
        except TerraformKilledError:
            raise
        except (TerraformError, InterruptedRunError):
            if not doubtful:
                trust.confirm(succeeded=False)
            raise
        trust.confirm(succeeded=True)
        steps.done("apply")
        releaser = Releaser(cloud, applied.outputs, ledger, lock, who)
        releaser.settle()
        if cloud.environment.release_strategy == "all_at_once":
            releaser.serve_checkout()
        steps.done("code")
    return cloud, applied
