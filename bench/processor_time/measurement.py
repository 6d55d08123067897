"""Measures the CPU time of requests in the processes of the functions."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from bench.load.mix import EMPTY_FUNCTION, SESSION, mix
from bench.load.requests import Requests
from bench.load.runner import Attempt, RefusedError
from bench.load.schedule import Arrival
from bench.load.world import World
from bench.processor_time.clock import Reading, difference, read
from ops.capacity.load import function_of
from ops.capacity.model import Model
from ops.capacity.traffic import AUTHORIZE_TICKET, AUTHORIZE_TOKEN, CHECK, COUNT, PUBLISH
from tests.e2e.support.function_processes import find_all_processes
from tests.e2e.support.platform import Platform

WARM_UP = 2
"""Repetitions of each request before it is measured."""
QUIET = 0.02
"""A request counts as complete if the functions use no CPU time for this number of seconds."""
QUIET_EVENTS = 2.0
"""Seconds without CPU time after which an event counts as complete. The value is larger than QUIET,
because Lambda polls queues and streams for events."""
DISCONNECT, QUIET_DISCONNECT = "frame disconnect", 0.5
"""Seconds without CPU time after which the end of a connection counts as complete. The value is
larger than QUIET, because API Gateway invokes the function after the connection has ended."""
AUTHORIZED = 0.0002
"""Minimum CPU seconds of a run of the authorizer. If the authorizer's processes used less, API
Gateway used a cached result and did not invoke the authorizer."""
COMMENT, MESSAGE = "POST /v1/posts/{postId}/comments", "frame send_message"
AUTHORIZED_REQUEST = "GET /v1/profile"
"""A request whose token the authorizer checks."""
CONSUMERS = {PUBLISH: COMMENT, COUNT: COMMENT, CHECK: MESSAGE}
"""For each event, a request that causes it once."""

Milliseconds = dict[str, list[float]]
"""CPU milliseconds of each repetition, by row of calls.yml."""


class Workers:
    """The processes of the functions."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def read(self) -> dict[str, Reading]:
        """Returns the CPU seconds of each function's processes."""
        found = find_all_processes(self._platform)
        return defaultdict(dict, {name: read(processes) for name, processes in found.items()})

    def read_when_quiet(self, seconds: float = QUIET) -> dict[str, Reading]:
        """Waits until no process uses CPU time for `seconds`, and returns the CPU seconds."""
        before = self.read()
        while True:
            time.sleep(seconds)
            after = self.read()
            if before == after:
                return after
            before = after

    def memory_mb(self) -> dict[str, float]:
        """Returns the resident memory of each function's largest process."""
        result = {}
        for name, processes in find_all_processes(self._platform).items():
            sizes = [0.0]
            for process in processes:
                try:
                    sizes.append(process.memory_info().rss / 1e6)
                except psutil.NoSuchProcess:
                    continue
            result[name] = max(sizes)
        return result


class Meter(Attempt):
    """Measures the CPU time of each step, instead of its latency."""

    def __init__(self, name: str, workers: Workers, milliseconds: Milliseconds) -> None:
        super().__init__(Arrival(name, 0.0, 0), time.monotonic, [])
        self._workers, self._milliseconds = workers, milliseconds

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        before = self._workers.read_when_quiet()
        yield
        quiet = QUIET_DISCONNECT if name == DISCONNECT else QUIET
        after = self._workers.read_when_quiet(quiet)
        authorized = AUTHORIZE_TICKET if name == "frame connect" else AUTHORIZE_TOKEN
        for row, least in ((name, 0.0), (authorized, AUTHORIZED)):
            function = function_of(row)
            used = difference(before[function], after[function])
            if used is not None and used > least:
                self._milliseconds[row].append(used * 1000)


async def measure(
    world: World, requests: Requests, model: Model, repetitions: int, show: Callable[[str], None]
) -> Milliseconds:
    """Returns the CPU time of each repetition of each request, frame and event."""
    workers, milliseconds = Workers(world.platform), defaultdict[str, list[float]](list)

    async def repeat(name: str) -> None:
        warm_up = defaultdict[str, list[float]](list)
        for number in range(WARM_UP + repetitions):
            requests.prepare({name: 1})
            into = warm_up if number < WARM_UP else milliseconds
            # On a busy machine, a dependency can time out. That repetition is not measured.
            with suppress(RefusedError):
                await requests.perform(Meter(name, workers, into))

    names = sorted(mix(model).keys() - {EMPTY_FUNCTION, SESSION}, key=_is_write)
    show("measuring sessions")
    await repeat(SESSION)
    # Only one connection is open, so that each frame has one listener, as in calls.yml.
    await world.connect(world.users[:1])
    for number, name in enumerate(names, 1):
        show(f"measuring {name} ({number} of {len(names)})")
        await repeat(name)
    show("measuring events")
    milliseconds[AUTHORIZE_TOKEN] = await _authorizations(requests, workers, world, repetitions)
    for event, request in CONSUMERS.items():
        milliseconds[event] = await _events(requests, workers, event, request, repetitions)
    await world.disconnect()
    return milliseconds


def _is_write(name: str) -> bool:
    """Returns False for reads. They are measured first, before writes lengthen the lists."""
    return not name.startswith("GET ")


async def _authorizations(
    requests: Requests, workers: Workers, world: World, repetitions: int
) -> list[float]:
    """Returns the CPU time of the authorizer for each of several new tokens.

    API Gateway caches the authorizer's result of each token, so that other requests seldom invoke
    it.
    """
    milliseconds = defaultdict[str, list[float]](list)
    for _ in range(WARM_UP + repetitions):
        requests.prepare({})  # resets the rate limits of signing in
        for user in world.users:
            user.person.log_in()
        await requests.perform(Meter(AUTHORIZED_REQUEST, workers, milliseconds))
    return milliseconds[AUTHORIZE_TOKEN][WARM_UP:]


async def _events(
    requests: Requests, workers: Workers, event: str, request: str, repetitions: int
) -> list[float]:
    """Returns the mean CPU time of the events that repeated requests cause."""
    function = function_of(event)
    unmeasured = defaultdict[str, list[float]](list)
    # Repeats the measurement if a process of the consumer started or ended during it.
    for _ in range(3):
        before = workers.read_when_quiet(QUIET_EVENTS)
        for _ in range(repetitions):
            await requests.perform(Meter(request, workers, unmeasured))
            await asyncio.sleep(0)
        after = workers.read_when_quiet(QUIET_EVENTS)
        used = difference(before[function], after[function])
        if used:
            return [used / repetitions * 1000]
    return []
