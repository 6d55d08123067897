"""Starts, updates and stops the platform on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ops.cloud import EMBEDDED, Cloud, connect, locate
from ops.console import report
from ops.deployment.bootstrap import bootstrap_account
from ops.deployment.health import wait_until_healthy
from ops.deployment.migrations import Migrated, run_migrations
from ops.deployment.site.operations import publish_project_site
from ops.embedded import EmbeddedCloud
from ops.embedded.processes import MARKER
from ops.embedded.services import Aws
from ops.env_file import provider_keys
from ops.functions.versions import MIGRATION
from ops.local.consistency import StateConsistency
from ops.local.console_process import start_console, stop_console
from ops.local.last_apply import LastApply
from ops.root import Root, read_json, write_json
from ops.terraform.adoption import adopt, configuration, created_ids, end_adoption
from ops.terraform.lookups import find_id
from ops.terraform.preparation import stack_log
from ops.terraform.runner import Apply, Terraform, TerraformError, describe_counts
from ops.terraform.state import (
    copy_state,
    end_orphaned_run,
    managed_addresses,
    outputs,
    remove_stale_lock,
    repair_state,
)
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import node_variables, terraform, terraform_variables
from ops.traffic.ledger import Ledger, Lock
from ops.traffic.release import Releaser
from ops.upkeep.secrets import Secrets, supply_provider_keys

FREE_DISK_DURING_APPLY = 64 * 1024**2
"""Bytes of free disk space below which an apply is aborted. The embedded AWS rejects changes if it
cannot reserve 32 MiB to save its state.
"""


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


def store_provider_keys(cloud: Cloud) -> None:
    supply_provider_keys(Secrets(cloud), provider_keys())


def start_platform(root: Root, *, reset: bool = False) -> StartedPlatform:
    """Starts or updates the embedded cloud and the `local` environment in it.

    Applies the stack, migrates the database, publishes the site and waits for /health. It is safe
    to repeat, and recovers from a crash of any part: it restarts dead services, removes a stale
    state lock, and imports resources that a killed apply created but did not store in the state.
    Skips the apply if it had to start services and nothing has changed since the last apply. On a
    running platform, it always applies, which also corrects changes made outside Terraform.

    Args:
        reset: start with an empty embedded AWS and keep a copy of its data.

    Raises:
        OperatorError: a step failed.
        InterruptedRunError: the operator interrupted the command.
    """
    root.prepare()
    # Called first, so that nothing starts if the toolchain is incomplete.
    executable = terraform(root)
    node_variables()
    with changing_platform(root):
        steps = Steps()
        embedded = EmbeddedCloud(root)
        end_adoption(_directory(root))
        consistency = state_consistency(root)
        if consistency.is_doubtful and not embedded.is_aws_running():
            # If the embedded AWS was killed too, it may have lost resources that the killed apply
            # created.
            consistency.doubt()
        started = embedded.start(reset=reset)
        start_console(root)
        if started.aws_may_lack_changes:
            consistency.doubt()
        consistency.check(reset=reset)
        cloud = connect(EMBEDDED, root)
        # The repairs and checks use the key of the embedded AWS's root user, because the role that
        # an operator assumes may lack the permissions.
        owner = locate(EMBEDDED, root, assumes_role=False)
        if repair_state(owner, root.path / "damaged", _state_copy(root)):
            consistency.doubt()
        consistency.refuse_lost_state(owner, _state_copy(root))
        created = _remember_created(root) if consistency.is_doubtful else {}
        last = LastApply(root, _directory(root))
        can_skip = started.has_started_services and not consistency.is_doubtful
        is_current = can_skip and last.is_current(cloud)
        steps.done("start")
        if is_current:
            report("Nothing has changed since the last apply: skipping the apply")
            values = outputs(cloud)
            ledger = Ledger(cloud)
            with ledger.locked("up", cloud.operator) as lock:
                _serve_code(cloud, values, ledger, lock)
            steps.done("code")
        else:
            cloud, applied = consistency.run(
                lambda: _converge(
                    root, executable, embedded, consistency, steps=steps, created=created
                ),
                lambda existing, absent: adopt(
                    _stack(root, executable, embedded),
                    existing,
                    created,
                    partial(find_id, cloud.client),
                    absent=absent,
                ),
            )
            end_adoption(_directory(root))
            _created_file(root).unlink(missing_ok=True)
            report(f"Applied: {describe_counts(applied.counts)}")
            values = applied.outputs
        migrate = None if is_current else run_migrations
        result = complete(root, embedded, cloud, values, steps, migrate=migrate)
        last.record(cloud)
        return result


def state_consistency(root: Root) -> StateConsistency:
    """Returns the object that records whether Terraform's state may differ from the embedded
    AWS.
    """
    return StateConsistency(root, _directory(root), EmbeddedCloud(root).reset_aws)


def complete(
    root: Root,
    embedded: EmbeddedCloud,
    cloud: Cloud,
    outputs: dict[str, Any],
    steps: Steps,
    *,
    migrate: Callable[[Cloud, str], Migrated] | None = run_migrations,
    publish_site: Callable[[Cloud, dict[str, Any]], object] = publish_project_site,
    store_keys: Callable[[Cloud], None] = store_provider_keys,
    check_health: Callable[[str, str | None], object] = wait_until_healthy,
) -> StartedPlatform:
    """Migrates the database, publishes the site, checks /health, then writes platform.json.

    Args:
        migrate: migrates the database. None if it is up to date.

    Raises:
        OperatorError: a step failed; platform.json is not written.
    """
    if migrate:
        report(migrate(cloud, outputs["functions"][MIGRATION]).line())
        steps.done("migrate")
    if publish_site(cloud, outputs):
        report("Published the site")
    steps.done("publish")
    store_keys(cloud)
    check_health(outputs["health_url"], cloud.authority)
    steps.done("health")
    embedded.save_aws()
    steps.done("save")
    platform = {
        "apiUrl": outputs["api_url"],
        "wsUrl": outputs["ws_url"],
        "siteUrl": outputs["site_url"],
        "plainSiteUrl": embedded.plain_site_url(outputs["site_url"]),
        "authority": cloud.authority,
        "awsEndpoint": cloud.endpoint,
        "stateBucket": cloud.environment.state.bucket,
        "outputs": outputs,
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
        OperatorError: Another command is using the directory. Or `purge` is set, but the platform
            did not create the directory.
    """
    if not root.path.exists():
        return []
    if purge:
        root.check_ownership()
    with changing_platform(root):
        stop_console(root)
        stopped = EmbeddedCloud(root).stop()
        if purge:
            shutil.rmtree(root.path)
    return stopped


@contextmanager
def changing_platform(root: Root) -> Iterator[None]:
    """Locks the root directory, and deletes platform.json. Ends a Terraform run whose command was
    killed.
    """
    with root.exclusive():
        root.platform_file.unlink(missing_ok=True)
        end_orphaned_run(_directory(root))
        yield


def _stack(root: Root, executable: Path, embedded: EmbeddedCloud) -> Terraform:
    cloud = connect(EMBEDDED, root)
    return Terraform(
        executable,
        _directory(root),
        {
            **terraform_variables(root, cloud.inherited_variables()),
            **cloud.variables,
            MARKER: str(root.path),
        },
        _log(root),
        guard=lambda: find_obstacle(root, embedded.is_aws_running),
    )


def find_obstacle(root: Root, is_aws_running: Callable[[], bool]) -> str | None:
    """Returns the reason why an apply in progress cannot succeed, or None.

    On a full disk, the embedded AWS rejects all changes, and Terraform would retry for minutes.
    """
    if not is_aws_running():
        return "The embedded AWS stopped during the apply: run the same command again"
    if shutil.disk_usage(root.path).free < FREE_DISK_DURING_APPLY:
        return f"The disk of {root} is full: free some space and run the same command again"
    return None


def _state_copy(root: Root) -> Path:
    """Path of the copy of Terraform's state after the last complete apply.

    The copy is in the data directory of the embedded AWS. A reset renames this directory, so that
    the state is not restored into the new embedded AWS.
    """
    return root.path / Aws.name / "terraform-state.json"


def _created_file(root: Root) -> Path:
    """Path of the file with the ids of resources that killed applies created.

    It exists until an apply has succeeded.
    """
    return root.path / "created.json"


def _remember_created(root: Root) -> dict[str, str]:
    """Returns the ids of the resources that the last applies created, by address.

    An id may be "", as in the result of `created_ids`.

    Stores the ids, because the next run of Terraform overwrites the log and may be killed too.
    """
    file = _created_file(root)
    logs = (_log(root), stack_log(root, EMBEDDED))
    created: dict[str, str] = read_json(file) or {}
    for log in sorted(filter(Path.exists, logs), key=lambda log: log.stat().st_mtime):
        # Keeps the known id if a later apply tried to create the resource again and logged no id.
        created |= {key: id_ for key, id_ in created_ids(log).items() if id_ or key not in created}
    write_json(file, created)
    return created


def _log(root: Root) -> Path:
    """Path of the log to which `ops up` writes the output of Terraform."""
    return root.logs / "terraform.jsonl"


def _directory(root: Root) -> Path:
    return root.cdktf_out / "stacks" / EMBEDDED


def _converge(
    root: Root,
    executable: Path,
    embedded: EmbeddedCloud,
    consistency: StateConsistency,
    *,
    steps: Steps,
    created: Mapping[str, str],
) -> tuple[Cloud, Apply]:
    cloud = connect(EMBEDDED, root)
    # Bootstrap waits for the embedded AWS and synthesis for the CPU, so they run in parallel.
    with ThreadPoolExecutor(max_workers=1) as executor:
        synthesis = executor.submit(synthesize, [EMBEDDED], root.cdktf_out, cloud.variables)
        bootstrap_account(cloud, billing=False)
        synthesis.result()
    steps.done("bootstrap and synthesis")
    remove_stale_lock(cloud, _directory(root))
    stack = _stack(root, executable, embedded)
    stack.init()
    if consistency.is_doubtful:
        _adopt_created(cloud, stack, created, lost=consistency.may_lack_changes)
    steps.done("init")
    ledger = Ledger(cloud)
    with ledger.locked("up", cloud.operator) as lock:
        applied = consistency.apply(lambda: _apply_and_save(root, cloud, stack, embedded))
        steps.done("apply")
        _serve_code(cloud, applied.outputs, ledger, lock)
        steps.done("code")
    return cloud, applied


def _adopt_created(
    cloud: Cloud, stack: Terraform, created: Mapping[str, str], *, lost: bool
) -> None:
    """Adopts the resources that a killed apply created and could not store in the state.

    For some of them, such as a user pool, the next apply would create a second one.

    Args:
        lost: Whether the embedded AWS may have lost resources that the killed apply created.
    """
    managed = managed_addresses(cloud)
    left = created.keys() - managed
    # `ops up` writes Terraform's output to the log. If `ops up` is killed, Terraform may continue
    # and create resources that the log does not contain.
    possible = configuration(stack.directory).keys() - managed
    if not left and not possible:
        return
    find = partial(find_id, cloud.client)
    problem = None
    # If the import of a resource that does not exist fails, Terraform imports nothing. The second
    # attempt therefore adopts only the resources that certainly exist.
    for addresses in (left, {address for address in left if created[address]}):
        try:
            adopted = adopt(stack, addresses, created, find, possible=possible, trusts_log=not lost)
        except TerraformError as error:
            # Without the import blocks, the apply tries to create these resources, and reports
            # those that already exist.
            end_adoption(stack.directory)
            problem = error
        else:
            if adopted:
                report(f"Adopting resources that an earlier apply created: {', '.join(adopted)}")
            return
    report(f"Continuing without adopting the resources of an earlier apply: {problem}")


def _apply_and_save(root: Root, cloud: Cloud, stack: Terraform, embedded: EmbeddedCloud) -> Apply:
    applied = stack.apply()
    copy_state(cloud, _state_copy(root))
    # The embedded AWS saves its state, so that no resource is lost if it is killed after the apply.
    embedded.save_aws()
    return applied


def _serve_code(cloud: Cloud, values: dict[str, Any], ledger: Ledger, lock: Lock) -> None:
    """Shifts all traffic to the checkout's code, even if an earlier release was killed."""
    releaser = Releaser(cloud, values, ledger, lock, cloud.operator)
    releaser.repair_traffic()
    if cloud.environment.release_strategy == "all_at_once":
        releaser.serve_checkout()
