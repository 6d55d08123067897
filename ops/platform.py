"""Brings the whole platform up on this machine, or up to date, and takes it down again."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.bootstrap import bootstrap
from ops.cloud import EMBEDDED, Cloud, connect
from ops.console import say
from ops.embedded import EmbeddedCloud
from ops.embedded.processes import MARKER
from ops.errors import InterruptedRunError
from ops.health import wait_until_healthy
from ops.root import Root, write_json
from ops.site import publish
from ops.state import end_orphaned_run, remove_stale_lock
from ops.synth import synthesize
from ops.terraform import Apply, Terraform, TerraformError, changes
from ops.toolchain import node_variables, terraform, terraform_variables


@dataclass(frozen=True)
class Up:
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


def up(root: Root) -> Up:
    """Starts the embedded cloud, applies the `local` environment to it, publishes the page and waits for /health.

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
        doubt = _Doubt(root)
        end_orphaned_run(_directory(root))
        embedded = EmbeddedCloud(root)
        if embedded.start().killed:
            doubt.raise_()
        steps.done("start")
        doubtful = doubt.raised
        try:
            cloud, applied = _converge(root, executable, embedded, doubt, steps)
        except TerraformError as error:
            if not doubtful or not embedded.alive():
                raise
            say(
                f"After a crash the embedded AWS does not fit Terraform's state, so it is emptied and made anew: {error}"
            )
            embedded.reset_aws()
            doubt.settle()
            cloud, applied = _converge(root, executable, embedded, doubt, steps)
        say(f"Applied: {changes(applied.counts)}")
        if publish(cloud, applied.outputs):
            say("Published the status page")
        steps.done("publish")
        wait_until_healthy(applied.outputs["health_url"])
        steps.done("health")
        platform = {
            "apiUrl": applied.outputs["api_url"],
            "wsUrl": applied.outputs["ws_url"],
            "siteUrl": applied.outputs["site_url"],
            "awsEndpoint": cloud.endpoint,
            "stateBucket": cloud.environment.state.bucket,
            "outputs": applied.outputs,
        }
        write_json(root.platform_file, platform)
        return Up(platform, steps.seconds)


def down(root: Root, *, purge: bool = False) -> list[str]:
    """Stops the embedded cloud so that it keeps its data; `purge` removes the root with everything in it.

    Returns:
        The names of the services that ran.
    """
    if not root.path.exists():
        return []
    with root.exclusive():
        end_orphaned_run(_directory(root))
        root.platform_file.unlink(missing_ok=True)
        stopped = EmbeddedCloud(root).stop()
        if purge:
            shutil.rmtree(root.path)
    return stopped


class _Doubt:
    """Whether Terraform's state may know less or more than the AWS holds, because one of them was killed; kept in a file."""

    def __init__(self, root: Root) -> None:
        self._file = root.path / "doubt"

    @property
    def raised(self) -> bool:
        return self._file.exists()

    def raise_(self) -> None:
        self._file.touch()

    def settle(self) -> None:
        self._file.unlink(missing_ok=True)


def _directory(root: Root) -> Path:
    return root.cdktf_out / "stacks" / EMBEDDED


def _converge(
    root: Root, executable: Path, embedded: EmbeddedCloud, doubt: _Doubt, steps: Steps
) -> tuple[Cloud, Apply]:
    cloud = connect(EMBEDDED, root)
    bootstrap(cloud, billing=False)
    steps.done("bootstrap")
    synthesize([EMBEDDED], root.cdktf_out, cloud.variables)
    steps.done("synthesize")
    remove_stale_lock(cloud, _directory(root))
    stack = Terraform(
        executable,
        _directory(root),
        {**terraform_variables(root), **cloud.variables, MARKER: str(root.path.resolve())},
        root.logs / "terraform.jsonl",
        guard=lambda: (
            None if embedded.alive() else "The embedded AWS died during the apply: run the same command again"
        ),
    )
    stack.init()
    steps.done("init")
    doubtful = doubt.raised
    doubt.raise_()
    try:
        applied = stack.apply()
    except (TerraformError, InterruptedRunError) as error:
        stored = error.state_stored if isinstance(error, InterruptedRunError) else embedded.alive()
        if stored and not doubtful:
            doubt.settle()
        raise
    doubt.settle()
    steps.done("apply")
    return cloud, applied
