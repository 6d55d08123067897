"""Moves traffic to new versions: publish, probe, shift a share, watch, then promote or put back. `rollback` goes back by the record.

Every change is made under the environment's lock, and what a killed command left is settled first by the next one.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ops.checkout import checkout
from ops.cloud import Cloud
from ops.console import Progress, say
from ops.errors import InterruptedRunError, OperatorError
from ops.functions.packages import artifact, package
from ops.functions.versions import MIGRATION, Functions, Live, Version
from ops.smoke import Check, Invocation, Smoke, Suite, load_suites, people
from ops.terraform.state import outputs, refuse_locked_state
from ops.traffic.bake import INTERVAL, Bake, Watched
from ops.traffic.ledger import SERVED, Kind, Ledger, Lock, LockLostError, Record
from ops.traffic.notify import News, Notifier, State, topic_of

WEIGHT = 10
"""Percent of the traffic for a new version while it is watched (documented 90/10)."""
BAKE = 300.0
"""Seconds it is watched."""


class PutBackError(OperatorError):
    """A new version was bad while it had some of the traffic; all of it is on the old version again."""


@dataclass(frozen=True)
class Settings:
    """How a release goes."""

    weight: int = WEIGHT
    """Percent."""
    bake: float = BAKE
    """Seconds."""
    promote: bool = False
    """All traffic at once, as soon as the probes have passed: no share, no bake."""
    interval: float = INTERVAL
    """Seconds between looks during the bake."""


@dataclass(frozen=True)
class Candidate:
    """A version that is to serve."""

    live: Live
    version: Version


class Releaser:
    """Releases of one environment, under a lock that its user holds.

    Args:
        found: the stack's outputs.
        lock: checked before every change.
        who: for the record.
        sleep, clock: seconds; tests bring their own.
    """

    def __init__(
        self,
        cloud: Cloud,
        found: Mapping[str, Any],
        ledger: Ledger,
        lock: Lock,
        who: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cloud = cloud
        self._pool: str = found["cognito_user_pool_id"]
        self._ledger = ledger
        self._lock = lock
        self._who = who
        self._sleep, self._clock = sleep, clock
        self._commit = str(checkout())
        self._release_id = uuid.uuid4().hex
        self.functions = Functions(cloud, found["functions"])

    # What an earlier command left

    def settle(self, services: Sequence[str] | None = None) -> None:
        """Makes traffic whole where a killed release left it split, and closes the records it left open; says what it did.

        Args:
            services: all where none are named.
        """
        for service in services or self.functions.chosen("all"):
            live = self.functions.live(service)
            if live.weights:
                self._lock.check()
                shares = ", ".join(
                    f"{share:.0%} on version {version}" for version, share in live.weights.items()
                )
                self.functions.move(live, live.version)
                say(
                    f"An earlier release of {service} was left with {shares}: all traffic is on version {live.version} again"
                )
            for record in self._ledger.history(service, 5):
                if record.outcome != "running":
                    continue
                if record.to_version == live.version:
                    self._ledger.finish(
                        record, "promoted", "the command was killed after it had moved all traffic"
                    )
                    say(
                        f"An earlier {record.kind} of {service} was killed once version {live.version} had all traffic"
                    )
                else:
                    self._ledger.finish(record, "abandoned", "the command was killed")
                    say(
                        f"An earlier {record.kind} of {service} to version {record.to_version} was killed: it is given up"
                    )

    # A release

    def candidates(self, services: Sequence[str], packages: Mapping[str, Path]) -> list[Candidate]:
        """The versions with the checkout's code that do not serve yet; code that no version has is published.

        Args:
            packages: the checkout's zips, by service.
        """
        found = []
        for service in services:
            newest = self.functions.newest(service)
            if newest is None or newest.artifact != artifact(packages[service]):
                self._lock.check()
                newest = self.functions.publish(service, packages[service])
                say(f"Published version {newest.number} of {service}")
            live = self.functions.live(service)
            if live.version != newest.number:
                found.append(Candidate(live, newest))
        return found

    def release(self, candidates: Sequence[Candidate], settings: Settings) -> list[Record]:
        """Brings candidates to serve all traffic, all of them or none.

        Raises:
            OperatorError: a candidate is bad; traffic is where it was, and the message says why.
            InterruptedRunError: the operator stopped it; traffic is where it was.
            LockLostError: another command took over; traffic is as that command says.
        """
        if not candidates:
            return []
        records = [
            self._record(candidate.live, candidate.version, "release") for candidate in candidates
        ]
        self._ledger.begin(records)
        moved: dict[str, Live] = {
            candidate.live.service: candidate.live for candidate in candidates
        }
        suites = {name: suite for name, suite in load_suites().items() if name in moved}
        versions = {candidate.live.service: candidate.version.number for candidate in candidates}
        done: set[str] = set()
        try:
            with (
                stoppable(),
                people(self._cloud, self._pool, load_suites()["auth"], self._through({})) as who,
            ):
                smoke = Smoke(self._through(versions), who)
                self._probe(smoke, suites, versions)
                if not settings.promote:
                    self._shift(moved, versions, settings.weight)
                    self._watch(moved, versions, smoke, suites, settings)
                for service, live in list(moved.items()):
                    self._lock.check()
                    moved[service] = self.functions.move(live, versions[service])
                    done.add(service)
                    say(f"Traffic: {service} is on version {versions[service]}")
        except LockLostError:
            raise
        except BaseException as error:
            self._put_back(records, moved, done, error)
            if isinstance(error, KeyboardInterrupt):
                raise InterruptedRunError("Stopped: traffic is where it was before") from error
            raise
        finished = [replace(record, outcome="promoted") for record in records]
        for record in finished:
            self._ledger.finish(record, "promoted")
        return finished

    def _through(self, versions: Mapping[str, str]) -> Invocation:
        return Invocation(self.functions, versions)

    def _probe(
        self, smoke: Smoke, suites: Mapping[str, Suite], versions: Mapping[str, str]
    ) -> None:
        for service, version in versions.items():
            if service not in suites:
                say(f"Probes: {service} has none")
                continue
            bad = [check for check in smoke.suite(suites[service]) if not check.ok]
            if bad:
                raise OperatorError(
                    f"Version {version} of {service} is bad, and no user has reached it: {_told(bad)}"
                )
            say(f"Probes: version {version} of {service} passed")

    def _shift(self, moved: dict[str, Live], versions: Mapping[str, str], weight: int) -> None:
        for service, live in moved.items():
            self._lock.check()
            moved[service] = self.functions.move(
                live, live.version, {versions[service]: weight / 100}
            )
        shifted = ", ".join(f"{service} {versions[service]}" for service in moved)
        say(f"Traffic: {weight} % to {shifted}")

    def _watch(
        self,
        moved: Mapping[str, Live],
        versions: Mapping[str, str],
        smoke: Smoke,
        suites: Mapping[str, Suite],
        settings: Settings,
    ) -> None:
        watched = [
            Watched(service, self.functions.names[service], versions[service], live.version)
            for service, live in moved.items()
        ]
        bake = Bake(self._cloud, watched, self._clock)
        end = self._clock() + settings.bake
        with Progress() as progress:
            while (remaining := end - self._clock()) > 0:
                progress.show(f"watching the new versions for {remaining:.0f} s more")
                self._sleep(min(settings.interval, remaining))
                self._lock.check()
                # Also where nobody else calls: what is never asked shows nothing.
                checks = [
                    check
                    for suite in suites.values()
                    for check in smoke.suite(suite, repeatable=True)
                ]
                bad = [check for check in checks if not check.ok]
                problems = [*bake.problems(), *([_told(bad)] if bad else [])]
                if problems:
                    raise PutBackError(f"Put back, because {'; '.join(problems)}")

    def _put_back(
        self,
        records: Sequence[Record],
        moved: Mapping[str, Live],
        done: set[str],
        error: BaseException,
    ) -> None:
        reason = "stopped by the operator" if isinstance(error, KeyboardInterrupt) else str(error)
        for record in records:
            live = moved[record.service]
            if record.service in done:
                self._ledger.finish(record, "promoted")
                say(
                    f"Traffic: {record.service} stays on version {record.to_version}, which it had been moved to"
                )
                continue
            if live.weights:
                try:
                    self.functions.move(live, live.version)
                    say(f"Traffic: all of {record.service} is back on version {live.version}")
                except OperatorError as refused:  # somebody moved it since: theirs counts
                    say(str(refused))
            self._ledger.finish(record, "put back" if live.weights else "failed", reason[:1000])

    def _record(self, live: Live, version: Version, kind: Kind) -> Record:
        return Record(
            service=live.service,
            released_at=self._ledger.now(),
            release_id=self._release_id,
            kind=kind,
            from_version=live.version,
            to_version=version.number,
            artifact=version.artifact,
            who=self._who,
            commit=self._commit,
        )

    # What moves at once

    def move(self, live: Live, version: Version, kind: Kind) -> Record:
        """Moves all traffic in one call, and records it."""
        record = self._record(live, version, kind)
        self._ledger.begin([record])
        self._lock.check()
        try:
            self.functions.move(live, version.number)
        except BaseException as error:
            self._ledger.finish(record, "failed", str(error)[:1000])
            raise
        self._ledger.finish(record, "promoted")
        say(f"Traffic: {live.service} from version {live.version} to {version.number}")
        return replace(record, outcome="promoted")

    def note_applied(self, before: Mapping[str, Live]) -> list[Record]:
        """Records what an apply has moved since `before`."""
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
        return records

    def serve_checkout(self) -> list[Record]:
        """Moves, all at once, what does not serve the checkout's code although the apply is done.

        `deploy-function` and releases give functions code of which Terraform knows nothing, so that it would leave it there.
        """
        services = sorted(self.functions.names)
        candidates = self.candidates(services, package(self._cloud, services))
        return [self.move(candidate.live, candidate.version, "apply") for candidate in candidates]

    # Back

    def previous(self, live: Live) -> Version:
        """The version that served before the one that serves now, by the record.

        After a rollback it is the one before that, never the one that was rolled back from.

        Raises:
            OperatorError: there is no record of one, or it has been deleted.
        """
        for record in self._ledger.history(live.service):
            if (
                record.to_version == live.version
                and record.kind != "rollback"
                and record.outcome in SERVED
            ):
                return self.existing(live.service, record.from_version)
        raise OperatorError(
            f"There is no record of what served {live.service} before version {live.version}: name a version with --to; there are"
            f" {self._listed(live.service)}"
        )

    def existing(self, service: str, number: str) -> Version:
        """A version that can serve.

        Raises:
            OperatorError: there is none of this number (any more).
        """
        found = self.functions.find(service, number) if number.isdigit() else None
        if found is None:
            raise OperatorError(
                f"{service} has no version {number}: it was never published, or it is deleted. There are {self._listed(service)}"
            )
        return found

    def last_released(self) -> list[str]:
        """The services that the environment's last release moved.

        Raises:
            OperatorError: nothing was ever released.
        """
        latest: list[Record] = []
        for service in self.functions.chosen("all"):
            served = [
                r
                for r in self._ledger.history(service)
                if r.kind != "rollback" and r.outcome in SERVED
            ]
            latest += served[:1]
        if not latest:
            raise OperatorError(
                "There is no record of a release: name a service, and a version with --to"
            )
        newest = max(latest, key=lambda record: record.released_at)
        return self.functions_in_order(
            r.service for r in latest if r.release_id == newest.release_id
        )

    def functions_in_order(self, services: Iterable[str]) -> list[str]:
        """Services in the order in which they are moved."""
        wanted = set(services)
        return [name for name in self.functions.chosen("all") if name in wanted]

    def _listed(self, service: str) -> str:
        return ", ".join(version.number for version in self.functions.versions(service)) or "none"


def release_service(cloud: Cloud, service: str, settings: Settings) -> list[dict[str, Any]]:
    """Releases the checkout's code of a service, or of all but the migrations.

    Args:
        service: a service, or `all`.

    Returns:
        Each move: service, from, to.

    Raises:
        OperatorError: the release was bad and is put back, or another command is at work.
        InterruptedRunError: the operator stopped it.
    """
    cloud.check_account()
    found = outputs(cloud)
    who = cloud.who()
    ledger = Ledger(cloud)
    notifier = Notifier(cloud, topic_of(found), who)
    with ledger.locked(f"release of {service}", who) as lock:
        refuse_locked_state(cloud)
        releaser = Releaser(cloud, found, ledger, lock, who)
        chosen = [name for name in releaser.functions.chosen(service) if name != MIGRATION]
        if not chosen:
            raise OperatorError(
                "Migrations are no release of their own: `ops deploy` moves and runs them"
            )
        releaser.settle()
        candidates = releaser.candidates(chosen, package(cloud, chosen))
        if not candidates:
            say(f"Nothing to release: {service} serves the checkout's code")
            return []
        news = News(f"release {service}", [_moves(candidates)])
        with announced(notifier, news):
            records = releaser.release(candidates, settings)
        return [moved(record) for record in records]


def roll_back_service(
    cloud: Cloud, service: str, to: str | None = None, *, force: bool = False
) -> list[dict[str, Any]]:
    """Moves traffic back to the version that served before, or to the one named.

    Args:
        service: a service; `all`: those that the last release moved.
        to: a version's number.
        force: takes the lock from a command that holds it.

    Returns:
        Each move: service, from, to.

    Raises:
        OperatorError: there is no such version, or no record of an earlier one. Nothing has been moved then.
    """
    cloud.check_account()
    found = outputs(cloud)
    who = cloud.who()
    ledger = Ledger(cloud)
    with ledger.locked(f"rollback of {service}", who, force=force) as lock:
        releaser = Releaser(cloud, found, ledger, lock, who)
        if service == "all" and to:
            raise OperatorError("--to names a version of one service: name the service")
        services = (
            releaser.last_released() if service == "all" else releaser.functions.chosen(service)
        )
        releaser.settle(services)
        plan = []
        for name in services:
            live = releaser.functions.live(name)
            plan.append((live, releaser.existing(name, to) if to else releaser.previous(live)))
        records = [
            releaser.move(live, version, "rollback")
            for live, version in plan
            if live.version != version.number
        ]
        if records:
            lines = [
                f"{record.service}: {record.from_version} to {record.to_version}"
                for record in records
            ]
            Notifier(cloud, topic_of(found), who).tell("rolled back", News(service, lines))
        return [moved(record) for record in records]


@contextmanager
def announced(notifier: Notifier, news: News) -> Iterator[None]:
    """Tells the alerts topic of a piece of work: that it has started, and that it has succeeded, failed or was rolled back."""
    notifier.tell("started", news)
    try:
        yield
    except BaseException as error:
        reason = "stopped by the operator" if isinstance(error, KeyboardInterrupt) else str(error)
        state: State = "rolled back" if isinstance(error, PutBackError) else "failed"
        notifier.tell(state, replace(news, lines=[*news.lines, reason[:2000]]))
        raise
    notifier.tell("succeeded", news)


@contextmanager
def stoppable() -> Iterator[None]:
    """Lets SIGTERM stop the block as Ctrl-C does, so that what was begun is put back."""
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


def moved(record: Record) -> dict[str, Any]:
    """A record as commands answer it."""
    return {"service": record.service, "from": record.from_version, "to": record.to_version}


def _moves(candidates: Sequence[Candidate]) -> str:
    return ", ".join(
        f"{item.live.service} {item.live.version} to {item.version.number}" for item in candidates
    )


def _told(checks: Sequence[Check]) -> str:
    return "; ".join(f"{check.request} {check.detail}" for check in checks[:3]) + (
        f" and {len(checks) - 3} more" if len(checks) > 3 else ""
    )
