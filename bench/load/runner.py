"""Sends requests at their planned times, and measures each from its planned time.

A slow response delays no other request. If requests have to wait for a connection, their latency
includes the wait. This avoids coordinated omission: a client that first waits for the slow response
would measure only one slow request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bench.load.schedule import Arrival

DRAIN = 35.0
"""Seconds to wait for responses after the last request. Clients wait 30 s for a response."""
PROGRESS_INTERVAL = 1.0
"""Seconds between two calls of `progress`."""
UNFINISHED = "no response"


class RefusedError(Exception):
    """The platform did not accept a request. The message names the reason."""


@dataclass(frozen=True)
class Sample:
    """A measured request. Times are seconds from the start of the load."""

    name: str
    phase: int
    planned: float
    ended: float
    problem: str = ""
    """Why the platform did not accept the request. Empty if it did."""

    @property
    def latency(self) -> float:
        """Seconds from the planned time to the response."""
        return self.ended - self.planned


@dataclass
class Measured:
    """All samples of a load."""

    samples: list[Sample] = field(default_factory=list)
    latest_start: float = 0.0
    """The longest delay in seconds between the planned time of an arrival and its start by this
    client.
    """
    started: int = 0
    """The number of arrivals that were started."""
    is_interrupted: bool = False


class Attempt:
    """Measures the steps of one arrival. The first step begins at the planned time."""

    def __init__(self, arrival: Arrival, clock: Callable[[], float], samples: list[Sample]) -> None:
        """`clock` returns the seconds since the start of the load."""
        self.arrival = arrival
        self._clock, self._samples = clock, samples
        self._since = arrival.second

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measures a `with` block as a request with this name."""
        problem = ""
        try:
            yield
        except asyncio.CancelledError:
            problem = UNFINISHED
            raise
        except RefusedError as error:
            problem = str(error)
            raise
        finally:
            now = self._clock()
            sample = Sample(name, self.arrival.phase, self._since, now, problem)
            self._samples.append(sample)
            self._since = now


Perform = Callable[[Attempt], Awaitable[None]]
Progress = Callable[[float, int, int], None]
"""Receives the seconds since the start, and the numbers of started arrivals and of problems."""


async def run(
    arrivals: Sequence[Arrival],
    perform: Perform,
    *,
    stop: asyncio.Event | None = None,
    progress: Progress = lambda *_: None,
    drain: float = DRAIN,
) -> Measured:
    """Starts each arrival at its planned time.

    Args:
        stop: When it is set, no further arrival starts. The responses to the requests that were
            already sent are awaited for up to `drain` seconds.
    """
    measured, stop = Measured(), stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    tasks: set[asyncio.Task[None]] = set()
    shown = 0.0

    def elapsed() -> float:
        return loop.time() - begun

    async def perform_one(arrival: Arrival) -> None:
        measured.latest_start = max(measured.latest_start, elapsed() - arrival.second)
        with suppress(RefusedError):  # the sample contains the reason
            await perform(Attempt(arrival, elapsed, measured.samples))

    for arrival in arrivals:
        await _wait(stop, arrival.second - elapsed())
        if stop.is_set():
            measured.is_interrupted = True
            break
        tasks.add(asyncio.create_task(perform_one(arrival)))
        measured.started += 1
        if elapsed() - shown >= PROGRESS_INTERVAL:
            shown = elapsed()
            progress(shown, measured.started, sum(bool(s.problem) for s in measured.samples))
    if tasks:
        done, late = await asyncio.wait(tasks, timeout=drain)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in done:
            task.result()  # raises errors of the benchmark itself
    return measured


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Waits until the time has passed or `stop` is set."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
