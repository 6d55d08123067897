"""Compares memory sizes of functions: the duration of requests and the cost of a month with each
size.

Lambda gives a function a share of a core in proportion to its memory. Processor time therefore
costs the same with every size, and waiting costs more with a larger one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ops.capacity.calls import Row
from ops.capacity.forecast import Forecast
from ops.capacity.load import Loads, function_of
from ops.capacity.month import SECONDS
from ops.capacity.processor import load_processor
from ops.capacity.quotas import Quotas
from ops.capacity.traffic import MESSAGES, Traffic
from ops.cost.prices import Prices

SIZES = (128, 192, 256, 384, 512, 768, 1024, 1536, 1769)
"""Memory sizes to compare, in MB. From 1,769 MB, a function has a whole core, and Python uses only
one.
"""
RESERVE = 1.5
"""A function's memory size as a multiple of its measured memory, at least."""
UNMEASURED_MB = 128.0
"""The memory of a function whose memory was not measured."""
PERCENTILE = 0.99
MB_PER_GB = 1024


@dataclass(frozen=True)
class Size:
    """The duration of requests and the cost of a function with one memory size."""

    function: str
    memory_mb: float
    p99_ms: float
    """The time within which 99 % of the requests respond, without cold starts."""
    usd: float
    """US dollars a month that Lambda charges for the duration of executions."""


@dataclass(frozen=True)
class Choice:
    """The present memory size of a function, and the cheapest one that is fast enough."""

    now: Size
    cheapest: Size | None
    """The cheapest size that is fast enough, or None."""


def choose(
    forecast: Forecast,
    users: float,
    target_ms: float,
    *,
    rows: Mapping[str, Row],
    quotas: Quotas,
    prices: Prices,
) -> Iterator[Choice]:
    """Yields a choice for each function that handles requests.

    Args:
        target_ms: Maximum p99 latency of the requests in milliseconds.
    """
    stack, model = forecast.stack, forecast.model
    traffic = forecast.point(users).peak.traffic
    price = prices.prices["lambda.duration.arm64"]
    used_mb = load_processor().memory_mb

    def size(name: str, memory: float) -> Size:
        function = replace(stack.functions[name], memory_mb=memory)
        changed = replace(stack, functions={**stack.functions, name: function})
        parts = sorted(_durations(Loads(model, rows, changed, quotas), traffic, name))
        peak = sum(seconds * rate for seconds, rate in parts)
        month = peak / model.population.peak_to_mean.value * SECONDS
        return Size(name, memory, _percentile(parts) * 1000, price.usd(month * memory / MB_PER_GB))

    for name, function in stack.functions.items():
        if not list(_durations(forecast.loads, traffic, name)):
            continue
        allowed = [
            found
            for memory in SIZES
            if memory >= RESERVE * used_mb.get(name, UNMEASURED_MB)
            and (found := size(name, memory)).p99_ms <= target_ms
        ]
        cheapest = min(allowed, key=lambda found: found.usd, default=None)
        yield Choice(size(name, function.memory_mb), cheapest)


def _durations(loads: Loads, traffic: Traffic, function: str) -> Iterator[tuple[float, float]]:
    """Yields the duration in seconds of each kind of request of a function, and the requests per
    second.
    """
    for name, rate in traffic.rates.items():
        if function_of(name) != function or not rate:
            continue
        seconds = loads.duration(name)
        if name not in MESSAGES:
            yield seconds, rate
            continue
        for audience in traffic.audiences:
            extra = 0.0 if audience.is_queued else audience.listeners - 1
            yield seconds + loads.posting(function, extra), rate * audience.share
    if function == "delivery":
        for audience in traffic.audiences:
            if audience.is_queued:
                yield (
                    loads.posting(function, audience.listeners / audience.parts),
                    traffic.messages * audience.share * audience.parts,
                )


def _percentile(parts: list[tuple[float, float]]) -> float:
    """Returns the seconds that PERCENTILE of the requests do not exceed. `parts` are sorted."""
    whole, below = sum(rate for _, rate in parts), 0.0
    for seconds, rate in parts:
        below += rate
        if below >= PERCENTILE * whole:
            return seconds
    return parts[-1][0]
