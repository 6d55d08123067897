"""Live development on the embedded cloud.

A saved file in lambdas/ is deployed to its function without Terraform. A saved file in modules/ or
environments/ starts a plan, which the key `a` applies. The log lines of all services are printed,
each service in its own colour.
"""

from __future__ import annotations

import functools
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text
from watchfiles import watch

from ops.cloud import EMBEDDED, Cloud, connect
from ops.console import out, report
from ops.durations import estimated
from ops.errors import OperatorError
from ops.functions.packages import package
from ops.functions.versions import Functions
from ops.inspection.lines import RUNTIME, choose_colours
from ops.local.platform import StartedPlatform, start_platform
from ops.root import PROJECT, Root
from ops.terraform.preparation import prepare_stack
from ops.terraform.runner import Terraform
from ops.terraform.state import outputs
from ops.traffic.ledger import Ledger
from ops.traffic.release import Releaser
from ops.upkeep.logs import follow

LAMBDAS = PROJECT / "lambdas"
INFRASTRUCTURE = (PROJECT / "modules", PROJECT / "environments", PROJECT / "main.py")
SHARED = "common"
DEBOUNCE = 50
"""Milliseconds without changes before saved files are processed. Editors save in several steps."""
TICK = 200
"""Milliseconds between checks of the keyboard."""
START = 90.0
"""Estimated seconds that a start of the platform takes.

Used for the first start on this machine. For later starts, the duration of the last one is used.
"""
APPLY, QUIT = "a", "q"
WATCHED = (".py", ".yml", ".txt", ".pem", ".sql", ".json")
"""Suffixes of watched files. Editors also write temporary files."""


@dataclass(frozen=True)
class SavedChanges:
    """The functions and the infrastructure to update after files were saved."""

    functions: frozenset[str]
    """Names of the changed functions. `common` is the code that all functions share."""
    infrastructure: bool


def classify_changes(files: Sequence[Path]) -> SavedChanges:
    """Returns the functions and infrastructure that the saved files belong to."""
    functions: set[str] = set()
    infrastructure = False
    for file in files:
        if file.suffix not in WATCHED or "__pycache__" in file.parts:
            continue
        if file.is_relative_to(LAMBDAS):
            parts = file.relative_to(LAMBDAS).parts
            functions.add(parts[0] if len(parts) > 1 else SHARED)
        else:
            infrastructure = True
    return SavedChanges(frozenset(functions), infrastructure)


class LiveDevelopment:
    """Deploys saved files to a running local platform and prints its logs."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._cloud: Cloud = connect(EMBEDDED, root)
        self._outputs = outputs(self._cloud)
        self._who = self._cloud.operator
        self._ledger = Ledger(self._cloud)
        self._functions = Functions(self._cloud, self._outputs["functions"])
        self._planning = Planning(root)
        self._saved: dict[str, str] = {}
        """The version published after the last save of the service's files, by service."""

    def run(self) -> None:
        """Watches files until `q` or Ctrl-C."""
        stopped = threading.Event()
        for service, colour in choose_colours(self._functions.names).items():
            threading.Thread(target=self._stream, args=(service, colour), daemon=True).start()
        waiting: set[str] = set()
        announced = False
        with keyboard() as pressed:
            paths = [LAMBDAS, *INFRASTRUCTURE]
            for events in watch(
                *paths,
                debounce=DEBOUNCE * 4,
                step=DEBOUNCE,
                rust_timeout=TICK,
                yield_on_timeout=True,
                stop_event=stopped,
            ):
                # The watcher misses files that are saved before it has started, so this message is
                # printed only now.
                if not announced:
                    announced = True
                    report(
                        f"Watching lambdas/, modules/ and environments/."
                        f" Press {APPLY} to apply the printed plan, {QUIT} to quit"
                    )
                changed = classify_changes([Path(file) for _, file in events])
                waiting |= self._affected(changed.functions)
                if waiting and self.serve_saved_code(sorted(waiting)):
                    waiting.clear()
                if changed.infrastructure:
                    self._planning.begin()
                for key in pressed():
                    if key == QUIT:
                        stopped.set()
                    elif key == APPLY:
                        self._planning.apply()

    def _affected(self, names: frozenset[str]) -> set[str]:
        known = set(self._functions.names)
        return known if SHARED in names else {name for name in names if name in known}

    def serve_saved_code(self, services: Sequence[str]) -> bool:
        """Deploys the saved code.

        Returns:
            False if the caller must retry, for example because another command holds the lock.
            True if the code was deployed, or if an error occurred that is reported but not retried.
        """
        begun = time.monotonic()
        services = report_syntax_errors(services)
        if not services:
            return True
        try:
            packages = package(self._cloud, services, compress=False)
        except OperatorError as error:
            report(str(error))
            return True
        try:
            with self._ledger.locked("dev", self._who) as lock:
                releaser = Releaser(self._cloud, self._outputs, self._ledger, lock, self._who)
                for service in services:
                    old = releaser.functions.live(service)
                    version = releaser.functions.publish(service, packages[service], wait=False)
                    releaser.shift_all(old, version, "function")
                    if self._saved.get(service) == old.version:
                        # This version was published after the previous save of the Lambda
                        # function's files, so no rollback needs it.
                        releaser.functions.delete(service, old.version)
                    self._saved[service] = version.number
        except OperatorError as error:
            report(f"The update of {', '.join(services)} will be retried: {error}")
            return False
        except (ClientError, BotoCoreError) as error:
            report(f"{', '.join(services)} could not be updated: {error}")
            return True
        report(f"{', '.join(services)}: served after {time.monotonic() - begun:.2f} s")
        return True

    def _stream(self, service: str, colour: str) -> None:
        start = int(time.time() * 1000)
        while True:
            try:
                for line in follow(self._cloud, service, start):
                    if not line.message.startswith(RUNTIME):
                        out.print(Text.assemble((f"{service:<10} ", colour), line.as_text()))
            except (OperatorError, ClientError, BotoCoreError):
                # The log group does not exist before the first invocation, or the embedded AWS is
                # restarting.
                time.sleep(2)


def _prepare_local_stack(root: Root) -> Terraform:
    return prepare_stack(connect(EMBEDDED, root), root, root.cdktf_out)


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


class Planning:
    """Plans and applies infrastructure changes in the background, one run at a time."""

    def __init__(
        self,
        root: Root,
        *,
        prepare: Callable[[Root], Terraform] = _prepare_local_stack,
        deploy: Callable[[Root], StartedPlatform] = start_platform,
        start: Callable[[Callable[[], None]], None] = _start_thread,
    ) -> None:
        self._root = root
        self._prepare = prepare
        self._deploy = deploy
        self._start = start
        self._lock = threading.Lock()
        self._state: Literal["idle", "planning", "ready", "applying"] = "idle"
        self._again = False

    def begin(self) -> None:
        """Starts a plan. If a plan or an apply is running, starts another plan afterwards."""
        with self._lock:
            if self._state in {"planning", "applying"}:
                self._again = True
                return
            self._state = "planning"
        self._start(self._plan)

    def apply(self) -> None:
        """Applies the printed plan, if there is one."""
        with self._lock:
            if self._state != "ready":
                idle = self._state == "idle"
                running = "A plan or an apply is running: wait until it ends"
                report("There is no plan to apply" if idle else running)
                return
            self._state = "applying"
        self._start(self._apply)

    def _plan(self) -> None:
        report("Planning the infrastructure change")
        ready = False
        try:
            stack = self._prepare(self._root)
            with stack.temporary_plan("dev", ["-lock=false"]) as plan:
                lines = plan_lines(stack.show(plan.file))
            ready = bool(lines)
            text = "\n".join(["Plan:", *lines, f"{APPLY} applies it"])
            report(text if ready else "Plan: nothing to change")
        except OperatorError as error:
            report(str(error))
        self._finish("ready" if ready else "idle")

    def _apply(self) -> None:
        try:
            # The deployment plans again while it holds the lock, so it also applies changes that
            # were saved after the plan.
            report(f"Applied in {sum(self._deploy(self._root).seconds.values()):.0f} s")
        except OperatorError as error:
            report(str(error))
        self._finish("idle")

    def _finish(self, state: Literal["idle", "ready"]) -> None:
        with self._lock:
            self._state = state
            again, self._again = self._again, False
        if again:
            self.begin()


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """Returns one line per changed resource of a plan (`terraform show -json`)."""
    lines = []
    for item in plan.get("resource_changes", []):
        change = item["change"]
        if change["actions"] == ["update"]:
            before, after = change["before"], change["after"]
            unknown = change.get("after_unknown") or {}
            names = {name for name in after if before.get(name) != after[name]}
            names |= {name for name in unknown if unknown[name]}
            lines.append(f"  update {item['address']}: {', '.join(sorted(names))}")
        elif change["actions"] not in (["no-op"], ["read"]):
            verb = "replace" if len(change["actions"]) > 1 else change["actions"][0]
            lines.append(f"  {verb} {item['address']}")
    return lines


def report_syntax_errors(functions: Sequence[str], folder: Path = LAMBDAS) -> list[str]:
    """Prints each syntax error once. Returns the Lambda functions without syntax errors."""
    errors = {name: error for name in functions if (error := syntax_error(name, folder))}
    if errors:
        # An error in the shared code is an error of each Lambda function.
        report("\n".join(dict.fromkeys(errors.values())))
    return [name for name in functions if name not in errors]


def syntax_error(function: str, folder: Path = LAMBDAS) -> str | None:
    """Returns the first syntax error in a function's files, or None if all are valid."""
    for file in sorted([*(folder / function).rglob("*.py"), *(folder / SHARED).rglob("*.py")]):
        try:
            _compile(file, file.stat().st_mtime_ns)
        except SyntaxError as error:
            return (
                f"{file.relative_to(folder.parent)}:{error.lineno}: {error.msg}:"
                " the change was not loaded; the previous version is still running"
            )
    return None


@functools.lru_cache(maxsize=1024)
def _compile(file: Path, _changed: int) -> None:
    compile(file.read_text(), str(file), "exec")


@contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """Yields a function that returns the keys that were pressed since its last call.

    On a terminal, keys arrive without pressing Enter.
    """
    descriptor = sys.stdin.fileno()

    def pressed() -> str:
        ready, _, _ = select.select([descriptor], [], [], 0)
        return os.read(descriptor, 64).decode(errors="replace") if ready else ""

    if not sys.stdin.isatty():
        yield pressed
        return
    import termios  # noqa: PLC0415 - POSIX only
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def develop(root: Root) -> None:
    """Starts or updates the platform, then deploys saved files until interrupted.

    Raises:
        OperatorError: the platform failed to start.
    """
    with estimated("up", {}, START):
        started = start_platform(root)
    report(f"Up in {sum(started.seconds.values()):.0f} s, API {started.platform['apiUrl']}")
    LiveDevelopment(root).run()
