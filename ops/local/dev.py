"""Live development on the embedded cloud: a saved function serves at once, an infrastructure change is planned and applied on a key.

A saved file of lambdas/ goes straight to its function, without Terraform. One of modules/ or environments/ makes a plan, which is shown;
the key `a` applies it. The log lines of all services come in one stream, each service in its colour.
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
from ops.console import out, say
from ops.deployment.deploy import prepare_stack
from ops.deployment.drift import EMULATED
from ops.errors import OperatorError
from ops.functions.packages import package
from ops.functions.versions import Functions
from ops.local.platform import start_platform
from ops.root import PROJECT, Root
from ops.terraform.state import outputs
from ops.traffic.ledger import Ledger
from ops.traffic.release import Releaser
from ops.upkeep.logs import follow

LAMBDAS = PROJECT / "lambdas"
INFRASTRUCTURE = (PROJECT / "modules", PROJECT / "environments", PROJECT / "main.py")
SHARED = "common"
DEBOUNCE = 50
"""Milliseconds without a further change after which saved files are taken: an editor writes more than one."""
TICK = 200
"""Milliseconds between looks at the keyboard."""
APPLY, QUIT = "a", "q"
COLOURS = (
    "cyan",
    "magenta",
    "green",
    "yellow",
    "blue",
    "bright_cyan",
    "bright_magenta",
    "bright_green",
    "bright_yellow",
)
WATCHED = (".py", ".yml", ".txt", ".pem", ".sql", ".json")
"""Endings of files that matter; editors write others beside them."""

RUNTIME_LINES = ("START ", "END ", "REPORT ", "INIT_START ")
"""Lines that Lambda itself writes about every invocation."""


@dataclass(frozen=True)
class SavedChanges:
    """What saved files are about."""

    functions: frozenset[str]
    """`common`: all of them."""
    infrastructure: bool


def classify_changes(files: Sequence[Path]) -> SavedChanges:
    """Sorts saved files by what has to be done about them."""
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


class Session:
    """One session of live development.

    Args:
        root: the platform's, which runs.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._cloud: Cloud = connect(EMBEDDED, root)
        self._found = outputs(self._cloud)
        self._who = self._cloud.who()
        self._ledger = Ledger(self._cloud)
        self._functions = Functions(self._cloud, self._found["functions"])
        self._planning = Planning(root)
        self._saved: dict[str, str] = {}
        """The version that the last save of a service made."""

    def run(self) -> None:
        """Watches until `q` or Ctrl-C."""
        over = threading.Event()
        for number, service in enumerate(sorted(self._functions.names)):
            threading.Thread(
                target=self._stream, args=(service, COLOURS[number % len(COLOURS)]), daemon=True
            ).start()
        say(
            f"Watching lambdas/, modules/ and environments/. {APPLY} applies a plan that is shown, {QUIT} ends"
        )
        waiting: set[str] = set()
        with keyboard() as pressed:
            places = [LAMBDAS, *INFRASTRUCTURE]
            for found in watch(
                *places,
                debounce=DEBOUNCE * 4,
                step=DEBOUNCE,
                rust_timeout=TICK,
                yield_on_timeout=True,
                stop_event=over,
            ):
                changed = classify_changes([Path(file) for _, file in found])
                waiting |= self._chosen(changed.functions)
                if waiting and self.serve_saved_code(sorted(waiting)):
                    waiting.clear()
                if changed.infrastructure:
                    self._planning.begin()
                for key in pressed():
                    if key == QUIT:
                        over.set()
                    elif key == APPLY:
                        self._planning.apply()

    def _chosen(self, names: frozenset[str]) -> set[str]:
        known = set(self._functions.names)
        return known if SHARED in names else {name for name in names if name in known}

    def serve_saved_code(self, services: Sequence[str]) -> bool:
        """Gives functions the saved code and all traffic; False: it is to be tried again, since an apply is at work."""
        begun = time.monotonic()
        wrong = [error for service in services if (error := syntax_error(service))]
        if wrong:
            say("\n".join(wrong))
            return True
        try:
            packages = package(self._cloud, services, compress=False)
        except OperatorError as error:
            say(str(error))
            return True
        try:
            with self._ledger.locked("dev", self._who) as lock:
                releaser = Releaser(self._cloud, self._found, self._ledger, lock, self._who)
                for service in services:
                    old = releaser.functions.live(service)
                    version = releaser.functions.publish(service, packages[service], wait=False)
                    releaser.move(old, version, "function")
                    if self._saved.get(service) == old.version:  # a version a save would pile up
                        releaser.functions.delete(service, old.version)
                    self._saved[service] = version.number
        except OperatorError as error:
            say(f"{', '.join(services)} must wait: {error}")
            return False
        except (ClientError, BotoCoreError) as error:
            say(f"{', '.join(services)} could not be updated: {error}")
            return True
        say(f"{', '.join(services)}: served after {time.monotonic() - begun:.2f} s")
        return True

    def _stream(self, service: str, colour: str) -> None:
        start = int(time.time() * 1000)
        while True:
            try:
                for line in follow(self._cloud, service, start):
                    if not line.message.startswith(RUNTIME_LINES):
                        out.print(Text.assemble((f"{service:<10} ", colour), line.as_text()))
            except (OperatorError, ClientError, BotoCoreError):
                # Its log begins with its first invocation; and the AWS may be starting again.
                time.sleep(2)


class Planning:
    """Plans and applies the infrastructure in the background, one run at a time."""

    def __init__(
        self, root: Root, start: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        self._root = root
        self._start = start or (lambda work: threading.Thread(target=work, daemon=True).start())
        self._lock = threading.Lock()
        self._state: Literal["idle", "planning", "ready", "applying"] = "idle"
        self._again = False

    def begin(self) -> None:
        """Plans what is saved; while a plan or an apply is at work, once more after it."""
        with self._lock:
            if self._state in {"planning", "applying"}:
                self._again = True
                return
            self._state = "planning"
        self._start(self._plan)

    def apply(self) -> None:
        """Applies the plan that was shown, if there is one."""
        with self._lock:
            if self._state != "ready":
                say(
                    "There is no plan to apply"
                    if self._state == "idle"
                    else "Wait: it is being worked on"
                )
                return
            self._state = "applying"
        self._start(self._apply)

    def _plan(self) -> None:
        say("Planning the infrastructure change")
        ready = False
        try:
            cloud = connect(EMBEDDED, self._root)
            stack = prepare_stack(cloud, self._root, self._root.cdktf_out)
            file = stack.directory / "dev.tfplan"
            try:
                stack.plan(file, ["-lock=false"])
                shown = stack.show(file)
            finally:
                file.unlink(missing_ok=True)
            lines = plan_lines(shown)
            ready = bool(lines)
            say(
                "\n".join(["Plan:", *lines, f"{APPLY} applies it"])
                if ready
                else "Plan: nothing to change"
            )
        except OperatorError as error:
            say(str(error))
        self._done("ready" if ready else "idle")

    def _apply(self) -> None:
        try:
            # The same as `make up`: it plans again under the lock, so what was saved meanwhile is in it too.
            say(f"Applied in {sum(start_platform(self._root).seconds.values()):.0f} s")
        except OperatorError as error:
            say(str(error))
        self._done("idle")

    def _done(self, state: Literal["idle", "ready"]) -> None:
        with self._lock:
            self._state = state
            again, self._again = self._again, False
        if again:
            self.begin()


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """What a plan (`terraform show -json`) changes, one line a resource, less what the embedded AWS tells wrongly each time."""
    lines = []
    for item in plan.get("resource_changes", []):
        change = item["change"]
        if change["actions"] == ["update"]:
            before, after, unknown = (
                change["before"],
                change["after"],
                change.get("after_unknown") or {},
            )
            names = {name for name in after if before.get(name) != after[name]} | {
                name for name in unknown if unknown[name]
            }
            names = {name for name in names if (item["type"], name) not in EMULATED}
            if names:
                lines.append(f"  update {item['address']}: {', '.join(sorted(names))}")
        elif change["actions"] not in (["no-op"], ["read"]):
            verb = "replace" if len(change["actions"]) > 1 else change["actions"][0]
            lines.append(f"  {verb} {item['address']}")
    return lines


def syntax_error(function: str) -> str | None:
    """What is wrong with the form of a function's files; None: nothing. Code that cannot be imported is not served."""
    for file in sorted([*(LAMBDAS / function).rglob("*.py"), *(LAMBDAS / SHARED).rglob("*.py")]):
        try:
            _compile(file, file.stat().st_mtime_ns)
        except SyntaxError as error:
            return f"{file.relative_to(PROJECT)}:{error.lineno}: {error.msg}: not served"
    return None


@functools.lru_cache(maxsize=1024)
def _compile(file: Path, _changed: int) -> None:
    compile(file.read_text(), str(file), "exec")


@contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """Gives a function that tells which keys were pressed since it was last asked; a terminal is set to tell each at once."""
    descriptor = sys.stdin.fileno()

    def pressed() -> str:
        ready, _, _ = select.select([descriptor], [], [], 0)
        return os.read(descriptor, 64).decode(errors="replace") if ready else ""

    if not sys.stdin.isatty():
        yield pressed
        return
    import termios  # noqa: PLC0415 - of POSIX alone
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def develop(root: Root) -> None:
    """Brings the platform up to date, and then serves what is saved until stopped.

    Raises:
        OperatorError: the platform does not come up.
    """
    started = start_platform(root)
    say(f"Up in {sum(started.seconds.values()):.0f} s, API {started.platform['apiUrl']}")
    Session(root).run()
