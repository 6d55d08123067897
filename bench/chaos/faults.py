"""Defines the faults that the chaos suite causes, such as killed processes and a full disk."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import psutil

from bench.chaos.changes import Changes
from bench.chaos.machine import Machine, Up
from ops.errors import OperatorError

STOPPED = 10.0
"""Seconds for which a service is stopped, the disk is full or the clock is wrong."""
JUMP = 3600
"""Seconds by which a fault sets the clock forward or back."""


@dataclass(frozen=True)
class Fault:
    """One way to break the platform."""

    name: str
    breaks: Callable[[Machine, Changes], float]
    """Causes the fault. Returns its time in seconds since the epoch."""
    needs_up: bool = True
    """True if only `ops up` repairs the platform. False if it must recover without a command."""
    setting: Callable[[Machine], AbstractContextManager[object]] | None = None
    """Prepares the machine before the clients start, and restores it at the end."""


def _kill(*names: str) -> Callable[[Machine, Changes], float]:
    def breaks(machine: Machine, _: Changes) -> float:
        machine.kill(*names)
        return time.time()

    return breaks


def _kill_workers(machine: Machine, _: Changes) -> float:
    machine.kill_workers()
    return time.time()


def _kill_all(machine: Machine, _: Changes) -> float:
    machine.kill_all()
    return time.time()


def _stop(name: str) -> Callable[[Machine, Changes], float]:
    def breaks(machine: Machine, _: Changes) -> float:
        machine.stop_for(name, STOPPED)
        return time.time()

    return breaks


def _fill_disk(machine: Machine, _: Changes, *, kills: bool = False) -> float:
    with machine.full_disk():
        time.sleep(STOPPED)
        at = time.time()
        if kills:
            machine.kill_all()
            with suppress(OperatorError):
                Up(machine.root).wait()
    return at


class _Clock:
    """A fault that sets the platform's clock forward or back by some seconds for a short time."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._move: Callable[[int], None]

    @contextmanager
    def setting(self, machine: Machine) -> Iterator[None]:
        with machine.movable_clock() as self._move:
            yield

    def jump(self, _machine: Machine, _changes: Changes) -> float:
        self._move(self._seconds)
        time.sleep(STOPPED)
        self._move(0)
        return time.time()


PHASES: dict[str, Callable[[Up], bool]] = {
    "start": lambda up: not up.root.platform_file.exists(),
    "synthesis": Up.is_synthesizing,
    "plan": Up.has_planned,
    "addition": lambda up: "create" in up.applied_actions(),
    "change": lambda up: "update" in up.applied_actions(),
    "removal": lambda up: "delete" in up.applied_actions(),
    "release": Up.has_applied,
    "migration": lambda up: "Applied:" in up.reported(),
    "publication": lambda up: "Migrations:" in up.reported() or "migrat" in up.reported(),
}
"""For each phase of an `ops up`: a function that returns True once the phase has begun."""


def _change_only(machine: Machine, changes: Changes) -> float:
    """Changes the configuration and kills nothing, so that `ops up` applies the changes."""
    _prepare(machine, changes)
    changes.next()
    return time.time()


def _prepare(machine: Machine, changes: Changes) -> None:
    """Applies the first changes, so that there are resources that a later `ops up` can remove."""
    if not changes.generation:
        changes.next()
        Up(machine.root).wait()


def _interrupt(phase: str, *victims: str) -> Callable[[Machine, Changes], float]:
    """Returns a fault that starts an `ops up` with changes, and kills processes during a phase.

    Args:
        phase: the key in PHASES.
        victims: processes to kill: `up`, `terraform`, or names of services.
    """

    def breaks(machine: Machine, changes: Changes) -> float:
        _prepare(machine, changes)
        changes.next()
        up = Up(machine.root)
        try:
            up.wait_for(PHASES[phase])
        except BaseException:
            up.end()
            raise
        children = up.children()
        if "up" in victims:
            os.kill(up.process.pid, signal.SIGKILL)
        if "terraform" in victims:
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        machine.kill(*(victim for victim in victims if victim not in {"up", "terraform"}))
        at = time.time()
        with suppress(OperatorError):
            up.wait()
        return at

    return breaks


KILLS = [
    Fault("kill the functions' workers", _kill_workers, needs_up=False),
    Fault("kill all processes", _kill_all),
    Fault("kill PostgreSQL and the embedded AWS", _kill("database", "aws")),
    Fault("kill the embedded AWS", _kill("aws")),
    Fault("kill PostgreSQL", _kill("database")),
    Fault("kill Valkey", _kill("cache")),
]
"""Faults that kill services and functions. `--short` runs only these.

The last two kill no function. While they run, the idempotency leases of the functions that earlier
faults killed expire, so that clients can complete all writes at the end of a short run.
"""
PROXIES = [
    Fault("kill the proxies of PostgreSQL and Valkey", _kill("database-proxy", "cache-proxy"))
]
UNINTERRUPTED = Fault("no fault: uninterrupted `ops up` with changes", _change_only)
"""Measures `ops up` without a fault. The other results of INTERRUPTIONS are compared with this
duration.
"""
INTERRUPTIONS = [
    UNINTERRUPTED,
    *(Fault(f"kill `ops up`: {phase}", _interrupt(phase, "up")) for phase in PHASES),
    *(
        Fault(f"kill `ops up` and Terraform: {phase}", _interrupt(phase, "up", "terraform"))
        for phase in ("plan", "addition", "change", "removal")
    ),
    Fault("kill Terraform: change", _interrupt("change", "terraform")),
    *(
        Fault(f"kill the embedded AWS: {phase}", _interrupt(phase, "aws"))
        for phase in ("addition", "removal")
    ),
    Fault(
        "kill all processes: addition",
        _interrupt("addition", "up", "terraform", "aws", "database", "cache"),
    ),
]
PAUSES = [
    Fault(f"stop {title} for {STOPPED:.0f} s", _stop(name), needs_up=False)
    for title, name in (
        ("PostgreSQL", "database"),
        ("Valkey", "cache"),
        ("the embedded AWS", "aws"),
    )
]
DISKS = [
    Fault(f"fill the disk for {STOPPED:.0f} s", _fill_disk),
    Fault("fill the disk, then kill all processes", partial(_fill_disk, kills=True)),
]
CLOCKS = [
    Fault(
        f"shift the clock by {seconds:+d} s for {STOPPED:.0f} s",
        clock.jump,
        needs_up=False,
        setting=clock.setting,
    )
    for seconds in (JUMP, -JUMP)
    for clock in [_Clock(seconds)]
]
"""Faults that set the clock wrong and then right again.

The first sets the clock forward, and back at its end. The second sets it back, and forward at its
end.
"""
EVERY_FAULT = [*KILLS, *PROXIES, *PAUSES, *DISKS, *CLOCKS, *INTERRUPTIONS]
