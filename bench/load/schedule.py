"""Plans when requests arrive. The plan does not depend on responses (an open workload)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Phase:
    """A part of the load. Its rate, in arrivals per second, is constant or changes linearly."""

    seconds: float
    first_rate: float
    last_rate: float

    @property
    def is_ramp(self) -> bool:
        return self.first_rate != self.last_rate

    @property
    def arrivals(self) -> float:
        """The number of arrivals in this phase."""
        return self.seconds * (self.first_rate + self.last_rate) / 2

    def second_of(self, arrivals: float) -> float:
        """Returns the seconds from the start of the phase until this number of arrivals."""
        growth = (self.last_rate - self.first_rate) / self.seconds
        rate = math.sqrt(self.first_rate**2 + 2 * growth * arrivals)
        return 2 * arrivals / (self.first_rate + rate)


@dataclass(frozen=True)
class Arrival:
    """A planned request or session."""

    name: str
    second: float
    """Seconds from the start of the load."""
    phase: int
    """Position of the phase in the plan."""


def plan_phases(rates: Sequence[float], seconds: float, ramp: float) -> list[Phase]:
    """Returns a phase for each rate, and a ramp before each phase.

    A ramp is a phase that starts at the previous rate. The first ramp starts at 0.

    Args:
        seconds: The duration of each phase.
        ramp: The duration of each ramp in seconds. 0 for no ramps.
    """
    phases = []
    for before, rate in itertools.pairwise((0.0, *rates)):
        if ramp:
            phases.append(Phase(ramp, before, rate))
        phases.append(Phase(seconds, rate, rate))
    return phases


def plan_arrivals(
    phases: Sequence[Phase], weights: Mapping[str, float], random: Random, *, is_poisson: bool
) -> list[Arrival]:
    """Returns the arrivals of all phases, sorted by time.

    Args:
        weights: How often each request arrives, in proportion to the others.
        is_poisson: True for arrivals at random, False for equal intervals.
    """
    names, shares = list(weights), list(weights.values())
    return [
        Arrival(random.choices(names, shares)[0], second, phase)
        for second, phase in _times(phases, _gaps(random, is_poisson=is_poisson))
    ]


def _gaps(random: Random, *, is_poisson: bool) -> Iterator[float]:
    """Yields the intervals between arrivals, as multiples of the mean interval."""
    while True:
        yield random.expovariate(1) if is_poisson else 1.0


def _times(phases: Sequence[Phase], gaps: Iterator[float]) -> Iterator[tuple[float, int]]:
    position, begun = next(gaps), 0.0
    for number, phase in enumerate(phases):
        while position <= phase.arrivals:
            yield begun + phase.second_of(position), number
            position += next(gaps)
        position -= phase.arrivals
        begun += phase.seconds
