"""Runs faults one after another, and checks the platform after each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from bench.chaos.audit import Findings, check, logged_secrets, wait_for_statistics
from bench.chaos.changes import Changes
from bench.chaos.clients import Crew
from bench.chaos.faults import INTERRUPTIONS, UNINTERRUPTED, Fault
from bench.chaos.machine import Machine, Up
from ops.root import Root
from tests.e2e.support.platform import Platform

LOAD_BEFORE = 4.0
"""Seconds of load before a fault."""
RECOVERY_TIMEOUT = 180.0
"""Seconds to wait until each kind of write succeeds again."""
RECOVERY_LIMIT = 60.0
"""Maximum seconds of `Result.recovery`, after which every kind of write must succeed again.

The maximum of `Result.repair` is this limit plus `Result.apply`.
"""
STATISTICS_TIMEOUT = 240.0
"""Seconds. If a consumer is killed, SQS delivers its message again after up to 180 s."""


@dataclass
class Result:
    """The measurements and the errors after one fault."""

    fault: str
    findings: Findings = field(default_factory=Findings)
    recovery: float = 0.0
    """Seconds until each kind of write succeeds again, from the end of the fault. If only `ops up`
    repairs the platform, the time is from the start of `ops up`.
    """
    repair: float = 0.0
    """Seconds that `ops up` took."""
    apply: float = 0.0
    """Seconds that the same `ops up` takes without a fault, if the fault interrupted an apply."""
    reported: list[str] = field(default_factory=list)
    """Lines about the recovery in the output of `ops up`."""
    statistics: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    """Resources in the embedded AWS that differ from the configuration."""
    unfinished: list[str] = field(default_factory=list)
    """Writes that were interrupted when their function was killed, and that failed when
    repeated.
    """
    error: str = ""

    def problems(self, limit: float = RECOVERY_LIMIT) -> list[str]:
        """Returns a sentence for each way in which the platform failed the check after the
        fault.
        """
        findings = self.findings
        slow = [
            f"{what} took {seconds:.0f} s"
            for what, seconds, allowed in (
                ("recovery", self.recovery, limit),
                ("`ops up`", self.repair, limit + self.apply),
            )
            if seconds > allowed
        ]
        return [
            *([self.error] if self.error else []),
            *(f"lost: {text}" for text in findings.lost),
            *(f"duplicate: {text}" for text in findings.duplicates),
            *findings.gaps,
            *findings.disagreements,
            *self.statistics,
            *(f"unfinished: {text}" for text in self.unfinished),
            *(f"secret in {place}" for place in self.secrets),
            *self.differences,
            *slow,
        ]


def run_up(root: Root) -> list[str]:
    return Up(root).wait()


def run(
    root: Root,
    faults: Sequence[Fault],
    *,
    load: float = LOAD_BEFORE,
    statistics_timeout: float = STATISTICS_TIMEOUT,
) -> list[Result]:
    """Breaks a running platform with each fault, each time with new users.

    Args:
        load: seconds of load before each fault.
        statistics_timeout: seconds to wait at the end for statistics.
    """
    platform = Platform.load(root.path, is_own=True)
    machine, changes = Machine(root), Changes(root, platform.aws)
    crews: dict[str, tuple[Crew, float]] = {}
    results: list[Result] = []
    for number, fault in enumerate(faults, 1):
        result = Result(fault.name)
        if fault in INTERRUPTIONS:
            result.apply = next((r.repair for r in results if r.fault == UNINTERRUPTED.name), 0.0)
        results.append(result)
        begun = time.monotonic()
        try:
            crews[fault.name] = _run_one(
                platform, machine, changes, fault, load=load, result=result
            )
        except KeyboardInterrupt:
            # Ctrl-C ends the run. The fault that was running has no result. The results of the
            # earlier faults are still printed.
            results.remove(result)
            break
        except Exception as error:
            result.error = f"{type(error).__name__}: {error}"
        took = time.monotonic() - begun
        problems = "; ".join(result.problems()) or "no problem"
        print(
            f"{number} of {len(faults)}: {fault.name}: {problems} ({took:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
    with suppress(KeyboardInterrupt):
        _check_again(crews, results, statistics_timeout)
    return results


def _check_again(
    crews: dict[str, tuple[Crew, float]], results: list[Result], statistics_timeout: float
) -> None:
    """Finishes and checks the writes of all crews, and waits until their statistics are right.

    A later fault can also lose the writes of an earlier crew.
    """
    for result in results:
        if result.fault in crews:
            crew, at = crews[result.fault]
            result.unfinished = crew.finish()
            result.findings = check(crew, [at])
    wrong = wait_for_statistics(
        {fault: crew for fault, (crew, _) in crews.items()}, statistics_timeout
    )
    for result in results:
        result.statistics = wrong.get(result.fault, [])


def run_under_load(
    root: Root,
    faults: Sequence[Fault],
    *,
    repair: Callable[[Root, Fault], list[str]],
    load: float,
) -> list[Result]:
    """Breaks a running platform with all faults while one crew writes without interruption.

    Takes less time than `run`, because it checks the data only once.

    Args:
        repair: restarts the platform after a fault with `needs_up`. Returns the lines it printed.
        load: seconds of load before each fault.

    Returns:
        The measurements of each fault. Only the last result contains the findings of the check.
    """
    platform = Platform.load(root.path, is_own=True)
    machine, changes = Machine(root), Changes(root, platform.aws)
    crew, since = Crew(platform), time.time()
    results = [Result(fault.name) for fault in faults]
    times = []
    with crew.writing():
        for fault, result in zip(faults, results, strict=True):
            time.sleep(load)
            times.append(
                _break_and_repair(crew, machine, changes, fault, repair=repair, result=result)
            )
    results[-1].unfinished = crew.finish()
    results[-1].findings = check(crew, times)
    results[-1].secrets = logged_secrets(crew, root.logs, since)
    return results


def _run_one(
    platform: Platform,
    machine: Machine,
    changes: Changes,
    fault: Fault,
    *,
    load: float,
    result: Result,
) -> tuple[Crew, float]:
    """Causes one fault under load, and fills in its result.

    Returns the crew, and the time of the fault in seconds since the epoch.
    """
    since = time.time()
    with fault.setting(machine) if fault.setting else nullcontext():
        crew = Crew(platform)
        with crew.writing():
            time.sleep(load)
            at = _break_and_repair(
                crew,
                machine,
                changes,
                fault,
                repair=lambda root, _: run_up(root),
                result=result,
            )
        result.findings = check(crew, [at])
    result.secrets = logged_secrets(crew, machine.root.logs, since)
    result.differences = changes.differences()
    return crew, at


def _break_and_repair(
    crew: Crew,
    machine: Machine,
    changes: Changes,
    fault: Fault,
    *,
    repair: Callable[[Root, Fault], list[str]],
    result: Result,
) -> float:
    """Breaks the platform and waits until every kind of write succeeds again.

    Returns the time of the fault in seconds since the epoch.
    """
    at = fault.breaks(machine, changes)
    begun = time.time()
    if fault.needs_up:
        result.reported = repair(machine.root, fault)
        result.repair = time.time() - begun
    if _wait_until_writing(crew, begun):
        result.recovery = crew.all_written_at(begun) - begun
    else:
        silent = {kind: crew.failures.get(kind) for kind in crew.silent_kinds(begun)}
        result.error = f"no write of these kinds succeeded after the fault (last errors): {silent}"
    return at


def _wait_until_writing(crew: Crew, since: float) -> bool:
    deadline = time.monotonic() + RECOVERY_TIMEOUT
    while crew.silent_kinds(since):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
