"""Releases new function versions, and rolls them back.

A release publishes a version, probes it and shifts some traffic to it. After the bake period, the
release promotes the version or rolls back. All commands hold the environment's lock. If an earlier
command was killed, they first repair the traffic and the ledger.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ops.checkout import checkout
from ops.cloud import Cloud
from ops.console import Progress, report
from ops.errors import InterruptedRunError, OperatorError
from ops.functions.packages import code_digest, package
from ops.functions.versions import FIRST, MIGRATION, Functions, Live, Version
from ops.smoke import Check, InvocationTransport, Smoke, Suite, load_suites, signed_in_users
from ops.smoke.person import People
from ops.smoke.transport import Transport
from ops.terraform.state import outputs, refuse_locked_state
from ops.traffic.allocations import AllocationError, Allocations
from ops.traffic.bake import INTERVAL, Bake, NewVersion
from ops.traffic.ledger import Kind, Ledger, Lock, LockLostError, Record
from ops.traffic.notify import News, Notifier, State, topic_of

WEIGHT = 10
"""Canary weight: percentage of traffic for a new version in the bake period. The platform's
specification requires this percentage.
"""
BAKE = 300.0
"""Default length of the bake period in seconds."""


class RolledBackError(OperatorError):
    """Raised if a new version failed in the bake period and the old version has all traffic
    again.
    """


@dataclass(frozen=True)
class Settings:
    """Options of a release: canary weight and bake period."""

    weight: int = WEIGHT
    """Percentage of traffic for new versions during the bake period."""
    bake: float = BAKE
    """Length of the bake period in seconds."""
    promote: bool = False
    """True to shift all traffic after the probes, without a bake period."""
    interval: float = INTERVAL
    """Seconds between two checks in the bake period."""


@dataclass(frozen=True)
class Candidate:
    """A version to release, and the state of its service's `live` alias before the release."""

    live: Live
    version: Version


class Releaser:
    """Shifts traffic in one environment. The caller holds the environment's lock.

    Args:
        stack_outputs: The stack's outputs.
        lock: Verified before every change.
        operator: The operator's name for the ledger and for notifications.
        package: Packages functions of the checkout.
        sign_in: Signs in the users of the smoke tests.
        suites: Returns the smoke tests by service.
        sleep, clock: `time.sleep` and `time.time`, or fakes.
    """

    def __init__(
        self,
        cloud: Cloud,
        stack_outputs: Mapping[str, Any],
        ledger: Ledger,
        lock: Lock,
        operator: str,
        *,
        package: Callable[[Cloud, Sequence[str]], Mapping[str, Path]] = package,
        sign_in: Callable[
            [Cloud, str, Suite, Transport], AbstractContextManager[People]
        ] = signed_in_users,
        suites: Callable[[], Mapping[str, Suite]] = load_suites,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cloud, self._ledger, self.lock, self._operator = cloud, ledger, lock, operator
        self._pool: str = stack_outputs["cognito_user_pool_id"]
        self._log_groups: Mapping[str, str] = stack_outputs["log_groups"]
        self._package, self._sign_in, self._suites = package, sign_in, suites
        self._sleep, self._clock = sleep, clock
        self._commit = str(checkout())
        self._release_id = uuid.uuid4().hex
        self.functions = Functions(cloud, stack_outputs["functions"])
        self._allocations = Allocations(
            self.functions, cloud.environment, lock.check, sleep=sleep, clock=clock
        )
        self.notifier = Notifier(cloud, topic_of(stack_outputs), operator)

    def repair_traffic(self, services: Sequence[str] | None = None, *, wait: bool = True) -> None:
        """Repairs traffic and ledger if an earlier command was killed.

        If a release left a service's traffic split, sends all of it to the live version, not to the
        canary. Records the outcome of the killed command.

        Args:
            services: The services to repair. Defaults to all.
            wait: Whether to wait until Lambda has completed earlier traffic shifts.
        """
        for service in services or self.functions.select("all"):
            live = self.functions.live(service)
            if live.awaits_allocation:
                live = self._complete(live) if wait else live
            elif live.weights:
                self.lock.check()
                weights = ", ".join(
                    f"{weight:.0%} of the traffic on version {version}"
                    for version, weight in live.weights.items()
                )
                self.functions.route(live, live.version)
                report(
                    f"An interrupted release of {service} left {weights}:"
                    f" all traffic is on version {live.version} again"
                )
            for record in self._ledger.history(service, 5):
                if record.outcome == "running":
                    self._close(record, live)

    def _complete(self, live: Live) -> Live:
        """Waits for a traffic shift that Lambda has not completed.

        Lambda completes it when the new version has its provisioned concurrency. If Lambda cannot
        allocate the concurrency, cancels the shift.
        """
        try:
            self._allocations.wait([live.service])
            return self.functions.live(live.service)
        except AllocationError as error:
            [serving] = live.weights
            self.lock.check()
            report(f"{error}. Version {serving}, which has all the traffic, stays live")
            return self.functions.route(self.functions.live(live.service), serving)

    def _close(self, record: Record, live: Live) -> None:
        """Records the outcome of a release or rollback whose command was killed."""
        if record.kind == "rollback":
            self._allocations.restore(record.service)
        command = f"An earlier {record.kind} of {record.service}"
        if record.to_version == live.version:
            progress = (
                f"the alias points to version {live.version}, which receives all traffic when"
                " Lambda has allocated its provisioned concurrency"
                if live.awaits_allocation
                else f"version {live.version} had received all traffic"
            )
            reason = f"the command was killed, and {progress}"
            self._ledger.finish(record, "promoted", reason)
            report(f"{command} was killed, and {progress}: recorded as promoted")
        else:
            self._ledger.finish(record, "abandoned", "the command was killed")
            report(f"{command} to version {record.to_version} was killed: recorded as abandoned")

    def candidates(self, services: Sequence[str], packages: Mapping[str, Path]) -> list[Candidate]:
        """Publishes each Lambda function whose newest version differs from the checkout's code.

        Returns the versions with the checkout's code that are not live yet.

        Args:
            packages: The checkout's zip files by service.
        """
        candidates = []
        for service in services:
            newest = self.functions.newest(service)
            if newest is None or newest.artifact != code_digest(packages[service]):
                self.lock.check()
                newest = self.functions.publish(service, packages[service])
                report(f"Published version {newest.number} of {service}")
            live = self.functions.live(service)
            if live.version != newest.number:
                candidates.append(Candidate(live, newest))
        return candidates

    def checkout_candidates(self, services: Sequence[str]) -> list[Candidate]:
        """Packages the checkout's functions and returns their candidates."""
        return self.candidates(services, self._package(self._cloud, services))

    def release(self, candidates: Sequence[Candidate], settings: Settings) -> list[Record]:
        """Releases the candidates together. Promotes none if one fails its probes or bake period.

        Raises:
            OperatorError: The release failed, for the reason in the message. Services that were not
                yet promoted have all their traffic on the old version.
            InterruptedRunError: The operator stopped the release. Services that were not yet
                promoted have all their traffic on the old version.
            LockLostError: Another command took over the lock and now controls the traffic.
        """
        if not candidates:
            return []
        records = [self._record(item.live, item.version, "release") for item in candidates]
        self._ledger.begin(records)
        states = {item.live.service: item.live for item in candidates}
        versions = {item.live.service: item.version.number for item in candidates}
        all_suites = self._suites()
        suites = {name: suite for name, suite in all_suites.items() if name in states}
        promoted: set[str] = set()
        try:
            with (
                interruptible(),
                self._sign_in(
                    self._cloud,
                    self._pool,
                    all_suites["auth"],
                    InvocationTransport(self.functions, {}),
                ) as users,
            ):
                smoke = Smoke(InvocationTransport(self.functions, versions), users)
                _probe(smoke, suites, versions)
                if not settings.promote:
                    self._shift(states, versions, settings.weight)
                    self._bake(states, versions, smoke, suites, settings)
                for service, live in list(states.items()):
                    self.lock.check()
                    states[service] = self.functions.route(live, versions[service])
                    promoted.add(service)
                    if service in FIRST:
                        self._allocations.wait([service])
                self._allocations.wait(states)
                for service in states:
                    report(f"Traffic: {service} is on version {versions[service]}")
        except LockLostError:
            raise
        except AllocationError as error:
            promoted -= error.services
            states |= {service: self.functions.live(service) for service in error.services}
            self._roll_back(records, states, promoted, error)
            raise
        except BaseException as error:
            self._roll_back(records, states, promoted, error)
            if isinstance(error, KeyboardInterrupt):
                raise InterruptedRunError(
                    "Stopped. Services that were not yet promoted have all their traffic on the old"
                    " version"
                ) from error
            raise
        finished = [replace(record, outcome="promoted") for record in records]
        for record in finished:
            self._ledger.finish(record, "promoted")
        return finished

    def _shift(self, states: dict[str, Live], versions: Mapping[str, str], weight: int) -> None:
        for service, live in states.items():
            self.lock.check()
            states[service] = self.functions.route(
                live, live.version, {versions[service]: weight / 100}
            )
        shifted = ", ".join(f"{service} {versions[service]}" for service in states)
        report(f"Traffic: {weight} % to {shifted}")

    def _bake(
        self,
        states: Mapping[str, Live],
        versions: Mapping[str, str],
        smoke: Smoke,
        suites: Mapping[str, Suite],
        settings: Settings,
    ) -> None:
        new_versions = [
            NewVersion(
                service,
                self.functions.names[service],
                self._log_groups[service],
                versions[service],
                live.version,
            )
            for service, live in states.items()
        ]
        bake = Bake(self._cloud, new_versions, self._clock)
        end = self._clock() + settings.bake
        with Progress() as progress:
            while (remaining := end - self._clock()) > 0:
                progress.show(f"bake period: {remaining:.0f} s left")
                self._sleep(min(settings.interval, remaining))
                self.lock.check()
                # The smoke tests send requests during the bake period. Without any requests, the
                # metrics would show no problem.
                checks = [
                    check
                    for suite in suites.values()
                    for check in smoke.run_suite(suite, repeatable=True)
                ]
                bad = [check for check in checks if not check.ok]
                problems = [*bake.problems(), *([_failures(bad)] if bad else [])]
                if problems:
                    raise RolledBackError(f"Rolled back because {'; '.join(problems)}")

    def _roll_back(
        self,
        records: Sequence[Record],
        states: Mapping[str, Live],
        promoted: set[str],
        error: BaseException,
    ) -> None:
        reason = "stopped by the operator" if isinstance(error, KeyboardInterrupt) else str(error)
        for record in records:
            live = states[record.service]
            if record.service in promoted:
                self._ledger.finish(record, "promoted")
                report(
                    f"Traffic: {record.service} stays on version {record.to_version}, to which it"
                    " was already promoted"
                )
                continue
            shifted = bool(live.weights) or live.version != record.from_version
            if shifted:
                try:
                    self.functions.route(live, record.from_version)
                    report(
                        f"Traffic: all requests to {record.service} are back on version"
                        f" {record.from_version}"
                    )
                # Another process has changed the alias since it was read.
                except OperatorError as alias_error:
                    report(str(alias_error))
            self._ledger.finish(record, "rolled back" if shifted else "failed", reason[:1000])

    def _record(self, live: Live, version: Version, kind: Kind) -> Record:
        return Record(
            service=live.service,
            released_at=self._ledger.now(),
            release_id=self._release_id,
            kind=kind,
            from_version=live.version,
            to_version=version.number,
            artifact=version.artifact,
            who=self._operator,
            commit=self._commit,
        )

    def shift_all(self, live: Live, version: Version, kind: Kind) -> Record:
        """Shifts all traffic to a version in one step, and records the shift in the ledger.

        A rollback does not wait for provisioned concurrency. It removes the provisioned
        concurrency, so that Lambda shifts the traffic immediately, and then requests it again.

        Raises:
            AllocationError: Lambda cannot allocate the provisioned concurrency of the version.
        """
        record = self._record(live, version, kind)
        self._ledger.begin([record])
        self.lock.check()
        try:
            if kind == "rollback":
                self._shift_immediately(live, version)
            else:
                self._shift_and_wait(live, version)
        except BaseException as error:
            self._ledger.finish(record, "failed", str(error)[:1000])
            raise
        self._ledger.finish(record, "promoted")
        report(f"Traffic: {live.service} from version {live.version} to {version.number}")
        return replace(record, outcome="promoted")

    def _shift_immediately(self, live: Live, version: Version) -> None:
        with self._allocations.without_allocation(live):
            # The removal ended the pending traffic shift, so the alias must be read again.
            if live.awaits_allocation:
                live = self.functions.live(live.service)
            self.functions.route(live, version.number)

    def _shift_and_wait(self, live: Live, version: Version) -> None:
        self.functions.route(live, version.number)
        try:
            self._allocations.wait([live.service])
        except AllocationError:
            self.functions.route(self.functions.live(live.service), live.version)
            raise

    def record_applied(self, before: Mapping[str, Live]) -> list[Record]:
        """Records the traffic shifts that an apply made, and returns the records.

        Args:
            before: The state of each function's `live` alias before the apply.
        """
        records = []
        for service, old in before.items():
            now = self.functions.live(service)
            if now.version != old.version:
                version = self.functions.find(service, now.version) or Version(now.version, "")
                records.append(self._record(old, version, "apply"))
        self._ledger.begin(
            [
                replace(record, outcome="promoted", finished_at=self._ledger.now())
                for record in records
            ]
        )
        self._allocations.wait(before)
        return records

    def serve_checkout(self) -> list[Record]:
        """Shifts all traffic to the checkout's code, for functions whose live code differs.

        After an apply, this corrects code that `deploy-function` or a release has changed.
        Terraform does not detect such changes.
        """
        services = sorted(self.functions.names)
        candidates = self.checkout_candidates(services)
        return [
            self.shift_all(candidate.live, candidate.version, "apply") for candidate in candidates
        ]

    def previous_version(self, live: Live) -> Version:
        """Returns the version that was live before the current one, according to the ledger.

        After a rollback from version 3 to 2, the previous version is 1, never 3.

        Raises:
            OperatorError: The ledger has no earlier version, or that version has been deleted.
        """
        for record in self._served(live.service):
            if record.to_version == live.version:
                return self.get_version(live.service, record.from_version)
        raise OperatorError(
            f"The ledger has no version of {live.service} before version {live.version}: name a"
            f" version with --to. Existing versions: {self._listed(live.service)}"
        )

    def get_version(self, service: str, number: str) -> Version:
        """Returns a published version.

        Raises:
            OperatorError: The version was never published or has been deleted.
        """
        version = self.functions.find(service, number) if number.isdigit() else None
        if version is None:
            raise OperatorError(
                f"{service} has no version {number}: it was never published or has been deleted."
                f" Existing versions: {self._listed(service)}"
            )
        return version

    def last_released(self) -> list[str]:
        """Returns the services of the environment's last release.

        Raises:
            OperatorError: The ledger has no release.
        """
        services = self.functions.select("all")
        latest = {name: served[0] for name in services if (served := self._served(name))}
        if not latest:
            raise OperatorError(
                "The ledger has no release: name a service, and a version with --to"
            )
        newest = max(latest.values(), key=lambda record: record.released_at)
        return [name for name, item in latest.items() if item.release_id == newest.release_id]

    def _served(self, service: str) -> list[Record]:
        """Returns a service's completed traffic shifts except rollbacks, newest first."""
        history = self._ledger.history(service)
        return [item for item in history if item.kind != "rollback" and item.outcome == "promoted"]

    def _listed(self, service: str) -> str:
        return ", ".join(version.number for version in self.functions.versions(service)) or "none"


ReleaserFactory = Callable[[Cloud, Mapping[str, Any], Ledger, Lock, str], Releaser]


@contextmanager
def locked_releaser(
    cloud: Cloud, purpose: str, create: ReleaserFactory = Releaser, *, force: bool = False
) -> Iterator[Releaser]:
    """Holds the lock of a deployed environment and yields its releaser.

    Args:
        purpose: The purpose of the lock, shown to other operators.
        force: Take the lock from the command that holds it.

    Raises:
        OperatorError: The environment has not been deployed, or another command holds the lock.
    """
    stack_outputs, ledger = outputs(cloud), Ledger(cloud)
    with ledger.locked(purpose, cloud.operator, force=force) as lock:
        yield create(cloud, stack_outputs, ledger, lock, cloud.operator)


def release_service(
    cloud: Cloud, service: str, settings: Settings, create: ReleaserFactory = Releaser
) -> list[dict[str, Any]]:
    """Releases the checkout's code of one service, or of all except the migration function.

    Args:
        service: A service, or `all`.

    Returns:
        One dictionary per traffic shift, with the keys service, from and to.

    Raises:
        OperatorError: The release failed and was rolled back, or another command holds the lock.
        InterruptedRunError: The operator stopped the release.
    """
    with locked_releaser(cloud, f"release of {service}", create) as releaser:
        refuse_locked_state(cloud)
        services = [name for name in releaser.functions.select(service) if name != MIGRATION]
        if not services:
            raise OperatorError(
                "The migration function cannot be released separately: `ops deploy` updates and"
                " invokes it"
            )
        releaser.repair_traffic()
        candidates = releaser.checkout_candidates(services)
        if not candidates:
            report(f"Nothing to release: the checkout's code is already live ({service})")
            return []
        shifts = ", ".join(
            f"{item.live.service} {item.live.version} to {item.version.number}"
            for item in candidates
        )
        with announced(releaser.notifier, News(f"release {service}", [shifts])):
            records = releaser.release(candidates, settings)
        return [describe_shift(record) for record in records]


def roll_back_service(
    cloud: Cloud,
    service: str,
    to: str | None = None,
    create: ReleaserFactory = Releaser,
    *,
    force: bool = False,
) -> list[dict[str, Any]]:
    """Shifts all traffic to the previously live version, or to the given one.

    Args:
        service: A service, or `all` for the services of the last release.
        to: A version's number.
        force: Take the lock from the command that holds it.

    Returns:
        One dictionary per traffic shift, with the keys service, from and to.

    Raises:
        OperatorError: The version does not exist, or the ledger has no earlier version. Traffic
            is unchanged.
    """
    if service == "all" and to:
        raise OperatorError("--to cannot be used with `all`: name one service")
    with locked_releaser(cloud, f"rollback of {service}", create, force=force) as releaser:
        functions = releaser.functions
        services = releaser.last_released() if service == "all" else functions.select(service)
        releaser.repair_traffic(services, wait=False)
        targets = []
        for name in services:
            live = functions.live(name)
            targets.append(
                (live, releaser.get_version(name, to) if to else releaser.previous_version(live))
            )
        records = [
            releaser.shift_all(live, version, "rollback")
            for live, version in targets
            if live.version != version.number
        ]
        if records:
            lines = [
                f"{record.service}: {record.from_version} to {record.to_version}"
                for record in records
            ]
            releaser.notifier.publish("rolled back", News(service, lines))
        return [describe_shift(record) for record in records]


@contextmanager
def announced(notifier: Notifier, news: News) -> Iterator[None]:
    """Publishes a message to the alerts topic when a `with` block starts, succeeds, fails or rolls
    back.
    """
    notifier.publish("started", news)
    try:
        yield
    except BaseException as error:
        reason = "stopped by the operator" if isinstance(error, KeyboardInterrupt) else str(error)
        state: State = "rolled back" if isinstance(error, RolledBackError) else "failed"
        notifier.publish(state, replace(news, lines=[*news.lines, reason[:2000]]))
        raise
    notifier.publish("succeeded", news)


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes SIGTERM roll back a release inside a `with` block, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def describe_shift(record: Record) -> dict[str, Any]:
    """Returns the service and the versions of a record, for the output of commands."""
    return {"service": record.service, "from": record.from_version, "to": record.to_version}


def _probe(smoke: Smoke, suites: Mapping[str, Suite], versions: Mapping[str, str]) -> None:
    for service, version in versions.items():
        if service not in suites:
            report(f"Probes: {service} has no smoke tests")
            continue
        bad = [check for check in smoke.run_suite(suites[service]) if not check.ok]
        if bad:
            raise OperatorError(
                f"Version {version} of {service} received no user traffic, because it failed its"
                f" smoke tests: {_failures(bad)}"
            )
        report(f"Probes: version {version} of {service} passed")


def _failures(checks: Sequence[Check]) -> str:
    return "; ".join(f"{check.request} {check.detail}" for check in checks[:3]) + (
        f" and {len(checks) - 3} more" if len(checks) > 3 else ""
    )
