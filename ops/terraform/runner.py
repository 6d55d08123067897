"""Runs Terraform in a stack's directory and reports its progress."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ops.console import Progress, report
from ops.errors import FullDiskError, InterruptedRunError, OperatorError, check_for_full_disk
from ops.process_identity import find_process
from ops.root import read_json, write_json

PARALLELISM = 30
"""Number of concurrent operations.

It exceeds Terraform's default of 10, because an apply mostly waits for AWS.
"""
GUARD_INTERVAL = 1.0
"""Seconds between two checks that the embedded AWS is still running."""
ERRORS_SHOWN = 10
"""Maximum errors in a message. One mistake can make many resources fail. The log contains all
errors.
"""
GIVE_UP_TIMEOUT = 20.0
"""Seconds between SIGINT and SIGKILL for Terraform after the embedded AWS has stopped."""
DESTRUCTIVE = {"delete": "destroy", "replace": "replace"}
"""The verb that commands display for a destructive action, by its name in Terraform's JSON."""

EXISTS = re.compile(
    r"already ?exist|AlreadyExists|AlreadyOwned|ResourceInUse|ResourceConflict|ConflictException"
    r"|already (associated|in use)|Duplicate",
    re.IGNORECASE,
)
"""Matches AWS's errors for a resource that already exists."""
REPEATED_AFTER = 60
"""Seconds. The provider repeats a call to which AWS has not responded within a time limit, which is
60 s or more. An action that failed sooner therefore contains no repeated call.
"""
ESTIMABLE = 0.1
"""Fraction of the actions that must be complete before the remaining time is estimated. The first
actions start at the same time and take longer than most others.
"""
TOO_SLOW = re.compile(r"timeout while waiting for|context deadline exceeded", re.IGNORECASE)
"""Matches the provider's error for a resource that was not ready within the time limit."""
STALE_STATE = "cannot import state with"
"""Start of Terraform's error if a pushed state is older than the stored one, or belongs to another
state (its serial or lineage differs).
"""
ABSENT = re.compile(r'attempting to import an existing object to\s+"([^"]+)"')
"""Matches Terraform's error for an import of a resource that does not exist."""


class TerraformError(OperatorError):
    """Raised if Terraform reports errors. The message has each error's resource and text."""

    def __init__(
        self,
        message: str,
        existing: Collection[str] = (),
        absent: Collection[str] = (),
        repeated: Collection[str] = (),
    ) -> None:
        super().__init__(message)
        self.existing = frozenset(existing)
        """Addresses of resources that Terraform could not create because they exist."""
        self.repeated = frozenset(repeated)
        """Resources in `existing` that this run may have created itself: AWS responded so late that
        the provider repeated the call, and the second call found the resource of the first.
        """
        self.absent = frozenset(absent)
        """Addresses of resources that Terraform could not import because they do not exist."""


class TerraformKilledError(TerraformError):
    """Raised if Terraform was killed or cancelled operations, or if the guard aborted the run.

    The stored state may then lack resources that the run created.
    """


@dataclass
class Apply:
    """The progress of an apply, updated from the messages of `terraform apply -json`."""

    planned: int | None = None
    """Number of planned resource actions. None before the plan is known."""
    done: int = 0
    refreshed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """Numbers of resources to add, change and remove."""
    destroys: dict[str, str] = field(default_factory=dict)
    """`destroy` or `replace` for each resource that the plan destroys, by address."""
    errors: list[str] = field(default_factory=list)
    existing: set[str] = field(default_factory=set)
    """Addresses of resources that could not be created because they exist."""
    repeated: set[str] = field(default_factory=set)
    """Resources in `existing` whose creation took at least REPEATED_AFTER seconds."""
    absent: set[str] = field(default_factory=set)
    """Addresses of resources that could not be imported because they do not exist."""
    outputs: dict[str, Any] = field(default_factory=dict)
    _active: dict[str, float] = field(default_factory=dict)
    _slow: set[str] = field(default_factory=set)
    """Addresses of resources whose action failed after at least REPEATED_AFTER seconds."""
    _began: float | None = None
    """Monotonic time in seconds when the first action began."""

    def feed(self, message: Mapping[str, Any], now: float) -> None:
        """Processes one message, received at the monotonic time `now` (seconds)."""
        kind = message.get("type")
        if kind == "change_summary" and message["changes"]["operation"] == "plan":
            self.counts = {name: message["changes"][name] for name in ("add", "change", "remove")}
            self.planned = sum(self.counts.values())
        elif kind == "planned_change" and message["change"]["action"] in DESTRUCTIVE:
            self.destroys[message["change"]["resource"]["addr"]] = DESTRUCTIVE[
                message["change"]["action"]
            ]
        elif kind == "refresh_complete":
            self.refreshed += 1
        elif kind == "apply_start":
            self._began = now if self._began is None else self._began
            self._active[message["hook"]["resource"]["addr"]] = now
        elif kind in {"apply_complete", "apply_errored"}:
            self._active.pop(message["hook"]["resource"]["addr"], None)
            self.done += kind == "apply_complete"
            if kind == "apply_errored" and message["hook"].get("elapsed_seconds", 0) >= (
                REPEATED_AFTER
            ):
                self._slow.add(message["hook"]["resource"]["addr"])
        elif kind == "outputs":
            self.outputs = {name: item.get("value") for name, item in message["outputs"].items()}
        elif kind == "diagnostic" and message["diagnostic"]["severity"] == "error":
            diagnostic = message["diagnostic"]
            parts = [
                diagnostic.get("address", ""),
                diagnostic["summary"],
                diagnostic.get("detail", ""),
            ]
            self.errors.append(": ".join(part for part in parts if part))
            if diagnostic.get("address") and EXISTS.search(self.errors[-1]):
                self.existing.add(diagnostic["address"])
                self.repeated = self.existing & self._slow
            self.absent |= set(ABSENT.findall(self.errors[-1]))

    def line(self, now: float) -> str:
        """Returns one line with the number of completed actions and the longest-running action."""
        if self.planned is None:
            return f"terraform: reading ({self.refreshed} resources read)"
        text = f"terraform: {self.done} of {self.planned}"
        if self._active:
            address = min(self._active, key=self._active.__getitem__)
            text += f", waiting for {address} ({now - self._active[address]:.0f} s)"
        return text

    def seconds_left(self, now: float) -> float | None:
        """Estimates the remaining seconds from the mean duration of the completed actions.

        Returns None until ESTIMABLE of the actions are completed.
        """
        if not self.planned or self._began is None or self.done < self.planned * ESTIMABLE:
            return None
        return (now - self._began) / self.done * (self.planned - self.done)


@dataclass(frozen=True)
class PlanFile:
    """A plan file in Terraform's own format, and the counts of its actions."""

    file: Path
    counts: dict[str, int]
    """Numbers of resources to add, change and remove."""
    destroys: dict[str, str]
    """`destroy` or `replace` for each resource that the plan destroys, by address."""

    def lines(self) -> list[str]:
        """Returns the plan's counts and one line for each destroyed or replaced resource."""
        return [
            describe_counts(self.counts),
            *(f"  {verb} {address}" for address, verb in sorted(self.destroys.items())),
        ]


def describe_counts(counts: Mapping[str, int]) -> str:
    """Formats the counts of a plan, for example `3 to add, 1 to change`."""
    return (
        ", ".join(f"{number} to {verb}" for verb, number in counts.items() if number)
        or "nothing to change"
    )


LOCK_FILE = ".terraform.lock.hcl"
"""Terraform's file with the versions and checksums of the providers."""


class Terraform:
    """Runs Terraform in one directory.

    Args:
        executable: The Terraform executable.
        directory: The stack's directory, which contains cdk.tf.json.
        variables: All environment variables of Terraform's process, which inherits no others.
        log: File for the JSON stream of each run.
        guard: Called every second during a run. Returns None to continue, or a reason to abort the
            run, for example that the embedded AWS has stopped.
    """

    def __init__(
        self,
        executable: Path,
        directory: Path,
        variables: Mapping[str, str],
        log: Path,
        guard: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._executable = executable
        self.directory = directory
        self._variables = dict(variables)
        self._log = log
        self._guard = guard

    def init(self) -> bool:
        """Runs `terraform init` unless the directory is initialized for this configuration.

        Returns:
            True if `terraform init` ran.

        Raises:
            TerraformError: The command failed. The message is Terraform's.
        """
        stamp = self.directory / ".terraform" / "initialized"
        if stamp.exists() and stamp.read_text() == self._init_digest():
            return False
        arguments = ("init", "-input=false", "-reconfigure", "-no-color")
        try:
            self._run_checked(*arguments)
        except TerraformError:
            files = [file for file in self._init_files() if file.exists()]
            if not files:
                raise
            # A crash may have damaged the files. They are deleted first, because `terraform init`
            # does not replace damaged files.
            for file in files:
                file.unlink()
            self._run_checked(*arguments)
        stamp.write_text(self._init_digest())
        return True

    def _init_files(self) -> tuple[Path, Path]:
        """Returns the files that `terraform init` writes: backend settings and LOCK_FILE."""
        return self.directory / ".terraform/terraform.tfstate", self.directory / LOCK_FILE

    def _init_digest(self) -> str:
        """Returns a digest of everything that `terraform init` reads and of the files it writes."""
        digest = hashlib.sha256(str(self._executable).encode())
        block = json.loads((self.directory / "cdk.tf.json").read_text()).get("terraform", {})
        digest.update(json.dumps(block, sort_keys=True).encode())
        settings = self._variables.get("TF_CLI_CONFIG_FILE")
        if settings and Path(settings).is_file():
            digest.update(Path(settings).read_bytes())
        for file in self._init_files():
            digest.update(file.read_bytes() if file.exists() else b"missing")
        return digest.hexdigest()

    def plan(self, file: Path, options: Sequence[str] = ()) -> PlanFile:
        """Creates a plan file.

        Args:
            options: Additional options of Terraform, such as `-refresh-only` or `-destroy`.

        Raises:
            TerraformError: Terraform reported errors.
            InterruptedRunError: The operator stopped the run.
        """
        arguments = [
            "plan",
            "-json",
            "-input=false",
            f"-parallelism={PARALLELISM}",
            f"-out={file}",
            *options,
        ]
        planned = self._follow(arguments, Apply())
        return PlanFile(file, planned.counts, planned.destroys)

    @contextmanager
    def temporary_plan(self, name: str, options: Sequence[str] = ()) -> Iterator[PlanFile]:
        """Creates a plan file in the stack's directory and deletes it when the block ends.

        Args:
            name: The name of the file without its suffix.
            options: As in `plan`.

        Raises:
            TerraformError: Terraform reported errors.
            InterruptedRunError: The operator stopped the run.
        """
        file = self.directory / f"{name}.tfplan"
        try:
            yield self.plan(file, options)
        finally:
            file.unlink(missing_ok=True)

    def show(self, file: Path) -> dict[str, Any]:
        """Returns the output of `terraform show -json` for a plan file.

        Raises:
            TerraformError: The file is not a plan, or is from another version of Terraform.
        """
        document: dict[str, Any] = json.loads(
            self._run_checked("show", "-json", "-no-color", str(file))
        )
        return document

    def apply(self, plan: PlanFile | None = None) -> Apply:
        """Applies a plan or the configuration.

        First stores the state that an earlier run could not store.

        Args:
            plan: The plan to apply. None plans and applies the configuration.

        Raises:
            TerraformError: Some resources failed. Others may be applied. The state is stored, so
                the next run continues.
            TerraformKilledError: Terraform was killed or cancelled operations, or the guard aborted
                the run. The stored state may lack resources.
            InterruptedRunError: The operator stopped the run. Operations in progress were completed
                and stored.
            FullDiskError: The disk is full, so the state may lack resources.
        """
        self._push_errored_state()
        arguments = [
            "apply",
            "-json",
            "-input=false",
            "-auto-approve",
            f"-parallelism={PARALLELISM}",
        ]
        if plan is None:
            return self._follow(arguments, Apply())
        state = Apply(planned=sum(plan.counts.values()), counts=dict(plan.counts))
        return self._follow([*arguments, str(plan.file)], state)

    def _push_errored_state(self) -> None:
        errored_state = self.directory / "errored.tfstate"
        if not errored_state.exists():
            return
        result = self._run("state", "push", errored_state.name)
        if result.returncode and STALE_STATE not in result.stderr:
            raise TerraformError(
                f"An earlier apply could not store its state. {errored_state} has the state, which"
                " still cannot be stored. Correct the error, then run the command again:\n"
                f"{result.stderr.strip() or result.stdout.strip()}"
            )
        if result.returncode:
            kept = errored_state.rename(
                errored_state.with_name(f"errored-{int(time.time())}.tfstate")
            )
            report(
                "An earlier apply could not store its state. The stored state has been updated or"
                " replaced since then, so this command uses the stored state."
                f" The earlier apply's state is kept in {kept}"
            )
        else:
            report("Stored the state that an earlier apply could not store")
            errored_state.unlink()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._executable), *arguments]
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def _run_checked(self, command: str, *options: str) -> str:
        """Runs a Terraform command such as `show`, and returns the command's standard output.

        Raises:
            TerraformError: The command failed.
        """
        with Progress(f"terraform {command}"):
            result = self._run(command, *options)
        if result.returncode:
            check_for_full_disk(result.stderr or result.stdout)
            raise TerraformError(
                f"terraform {command} failed:\n{result.stderr.strip() or result.stdout.strip()}"
            )
        return result.stdout

    def _follow(self, arguments: list[str], state: Apply) -> Apply:
        full_disk: OSError | None = None
        # Without a buffer, the log contains the ids of new resources even if the command is killed.
        with self._log.open("wb", buffering=0) as log, Progress() as progress:
            process = subprocess.Popen(
                [self._executable, *arguments],
                cwd=self.directory,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C must not reach Terraform directly. `_Stop` interrupts Terraform.
                process_group=0,
            )
            stop = _Stop(process, self._guard)
            with _ended(process), stop.watching(), recorded_run(self.directory, process.pid):
                assert process.stdout
                for line in process.stdout:
                    try:
                        log.write(line.encode())
                    except OSError as error:
                        if not full_disk:
                            process.send_signal(signal.SIGINT)
                        full_disk = error
                    try:
                        state.feed(json.loads(line), time.monotonic())
                    except json.JSONDecodeError:
                        # Terraform writes plain text if an error occurs before the JSON stream.
                        state.errors.append(line.strip())
                    now = time.monotonic()
                    progress.show(state.line(now), state.seconds_left(now))
                status = process.wait()
        if full_disk:
            raise FullDiskError(full_disk)
        if status:
            check_for_full_disk("\n".join(state.errors))
        if stop.reason or status < 0 or stop.interrupts > 1:
            raise TerraformKilledError(
                stop.reason or "Terraform was killed. Run the same command again to recover"
            )
        if stop.interrupts:
            raise InterruptedRunError("Stopped. Run the same command again to continue")
        if status:
            raise TerraformError(
                _summary(state.errors)
                or f"terraform exited with status {status}. See the log {self._log}",
                state.existing,
                state.absent,
                state.repeated,
            )
        return state


def _summary(errors: Sequence[str]) -> str:
    unique = list(dict.fromkeys(errors))
    more = len(unique) - ERRORS_SHOWN
    lines = [*unique[:ERRORS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    if any(TOO_SLOW.search(error) for error in unique):
        lines.append(
            "AWS or this machine was too slow for the provider's time limits. Run the same command"
            " again: it continues where this one stopped"
        )
    return "\n".join(lines)


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Terminates the process and waits for its end if the `with` block raises an error."""
    try:
        yield
    except BaseException:
        process.terminate()
        process.communicate()
        raise


class _Stop:
    """Ends a run early if the operator interrupts it, or if the embedded AWS has stopped."""

    def __init__(self, process: subprocess.Popen[str], guard: Callable[[], str | None]) -> None:
        self._process = process
        self._guard = guard
        self._over = threading.Event()
        self.interrupts = 0
        self.reason: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        main = threading.current_thread() is threading.main_thread()
        signals = (signal.SIGINT, signal.SIGTERM) if main else ()
        previous = {number: signal.signal(number, self._on_signal) for number in signals}
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, *_: object) -> None:
        report(
            "Cancelling the operations in progress"
            if self.interrupts
            else "Stopping after the operations in progress (interrupt again to cancel them)"
        )
        self.interrupts += 1
        self._process.send_signal(signal.SIGINT)

    def _watch(self) -> None:
        while not self._over.wait(GUARD_INTERVAL):
            self.reason = self._guard()
            if self.reason:
                self._process.send_signal(signal.SIGINT)
                if not self._over.wait(GIVE_UP_TIMEOUT):
                    self._process.kill()
                return


@contextmanager
def recorded_run(directory: Path, pid: int) -> Iterator[None]:
    """Records a run's process and time, so that later commands recognize the run's state lock."""
    file = directory / ".terraform" / "run.json"
    run = {
        "host": socket.gethostname(),
        "pid": pid,
        "started": psutil.Process(pid).create_time(),
        "finished": None,
    }
    write_json(file, run)
    yield
    write_json(file, {**run, "finished": time.time()})


@dataclass(frozen=True)
class Run:
    """A recorded run of Terraform in a stack's directory."""

    host: str
    pid: int
    started: float
    """Seconds since the epoch."""
    finished: float | None
    """Seconds since the epoch. None while Terraform runs, and if the command that started Terraform
    ended before Terraform did, for example because it was killed.
    """

    def find(self) -> psutil.Process | None:
        """Returns the Terraform process if it is still running, or None."""
        return find_process(self.pid, self.started)


def last_run(directory: Path) -> Run | None:
    """Returns the last run in a stack's directory, or None."""
    run = read_json(directory / ".terraform" / "run.json")
    return Run(**run) if run else None
