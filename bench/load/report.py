"""Computes the percentiles, errors and throttled requests of each route, and renders them."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.mix import EMPTY_FUNCTION
from bench.load.runner import Measured, Sample
from bench.load.schedule import Phase

THROTTLED = "throttled"
PERCENTILES = {50: 2, 95: 20, 99: 100}
"""The minimum number of samples for each percentile.

With fewer samples, the percentile would be close to the largest sample.
"""
ALL = "all requests and frames"


@dataclass(frozen=True)
class Row:
    """The figures of one route. Percentiles are of accepted requests, in milliseconds."""

    name: str
    requests: int
    throttled: int
    problems: dict[str, int]
    """The number of requests that failed, by reason. Does not include throttled requests."""
    percentiles: dict[int, float | None]
    largest: float | None


@dataclass(frozen=True)
class Step:
    """The figures of a phase with a constant rate."""

    rate: float
    seconds: float
    arrivals: int
    """Number of arrivals in this phase. A session, which sends several requests, counts once."""
    rows: tuple[Row, ...]

    @property
    def baseline(self) -> Row | None:
        return next((row for row in self.rows if row.name == EMPTY_FUNCTION), None)


def summarize(measured: Measured, phases: Sequence[Phase], arrivals: Counter[int]) -> list[Step]:
    """Returns the figures of each phase with a constant rate and at least one sample.

    Args:
        arrivals: The number of started arrivals of each phase.
    """
    by_phase: dict[int, list[Sample]] = defaultdict(list)
    for sample in measured.samples:
        by_phase[sample.phase].append(sample)
    return [
        Step(phase.last_rate, phase.seconds, arrivals[number], tuple(_rows(by_phase[number])))
        for number, phase in enumerate(phases)
        if not phase.is_ramp and by_phase[number]
    ]


def _rows(samples: Sequence[Sample]) -> Iterator[Row]:
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_name[sample.name].append(sample)
    baseline = by_name.pop(EMPTY_FUNCTION, [])
    yield _row(ALL, [sample for sample in samples if sample.name != EMPTY_FUNCTION])
    if baseline:
        yield _row(EMPTY_FUNCTION, baseline)
    for name in sorted(by_name, key=lambda name: -len(by_name[name])):
        yield _row(name, by_name[name])


def _row(name: str, samples: Sequence[Sample]) -> Row:
    times = sorted(sample.latency * 1000 for sample in samples if not sample.problem)
    problems = Counter(sample.problem for sample in samples if sample.problem)
    throttled = problems.pop(THROTTLED, 0)
    return Row(
        name,
        len(samples),
        throttled,
        dict(problems),
        {percent: percentile(times, percent) for percent in PERCENTILES},
        times[-1] if times else None,
    )


def percentile(times: Sequence[float], percent: int) -> float | None:
    """Returns a percentile of the times, or None if there are fewer than PERCENTILES requires."""
    if len(times) < PERCENTILES[percent]:
        return None
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def table(step: Step) -> Iterator[str]:
    """Yields the lines of a Markdown table, and compares medians with the empty function."""
    yield (
        "| milliseconds | requests | p50 | p95 | p99 | largest | p50 / baseline | errors"
        " | throttled |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    baseline = step.baseline.percentiles[50] if step.baseline else None
    for row in step.rows:
        cells = [_number(row.percentiles[percent]) for percent in PERCENTILES]
        median = row.percentiles[50]
        ratio = f"{median / baseline:.1f}" if baseline and median is not None else ""
        errors = sum(row.problems.values())
        yield (
            f"| {row.name} | {row.requests:,} | {' | '.join(cells)} | {_number(row.largest)}"
            f" | {ratio} | {errors} | {row.throttled} |"
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def document(steps: Sequence[Step], measured: Measured, **more: Any) -> dict[str, Any]:
    """Returns the figures as a JSON-serializable document, in milliseconds."""
    return {
        **more,
        "interrupted": measured.is_interrupted,
        "latestStartMs": round(measured.latest_start * 1000, 1),
        "steps": [
            {
                "ratePerSecond": step.rate,
                "seconds": step.seconds,
                "arrivals": step.arrivals,
                "rows": [
                    {
                        "name": row.name,
                        "requests": row.requests,
                        "throttled": row.throttled,
                        "errors": row.problems,
                        **{f"p{percent}": value for percent, value in row.percentiles.items()},
                        "largest": row.largest,
                    }
                    for row in step.rows
                ],
            }
            for step in steps
        ],
    }
