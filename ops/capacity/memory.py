"""Compares the request durations and the monthly cost of functions with different memory sizes.

Lambda allocates CPU in proportion to memory. CPU time therefore costs the same with every size, and
waiting time costs more with a larger size.
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
"""Memory sizes to compare, in MB. A function with 1,769 MB has one core. Python cannot use more."""
RESERVE = 1.5
"""Minimum memory size of a function, as a multiple of its measured memory."""
UNMEASURED_MB = 128.0
"""MB. Assumed memory of a function whose memory was not measured."""
PERCENTILE = 0.99
MB_PER_GB = 1024


@dataclass(frozen=True)
class Size:
    """The duration of requests and the cost of a function with one memory size."""

    function: str
    memory_mb: float
    p99_ms: float
    """Milliseconds. 99 % of the requests take at most this long, without cold starts."""
    usd: float
    """US dollars a month that Lambda charges for the duration of executions."""


@dataclass(frozen=True)
class Choice:
    """The current memory size of a function, and the cheapest size that is fast enough."""

    now: Size
    cheapest: Size | None
    """None if no size is fast enough."""


def choose(
    forecast: Forecast,
    users: float,
    target_ms: float,
    *,
    rows: Mapping[str, Row],
    quotas: Quotas,
    prices: Prices,
) -> Iterator[Choice]:
    """Yields the current and the cheapest memory size of each function that handles requests.

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
            candidate
            for memory in SIZES
            if memory >= RESERVE * used_mb.get(name, UNMEASURED_MB)
            and (candidate := size(name, memory)).p99_ms <= target_ms
        ]
        cheapest = min(allowed, key=lambda candidate: candidate.usd, default=None)
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
    """Returns the duration in seconds that PERCENTILE of the requests do not exceed.

    Args:
        parts: Durations in seconds with the requests per second, shortest duration first.
    """
    whole, below = sum(rate for _, rate in parts), 0.0
    for seconds, rate in parts:
        below += rate
        if below >= PERCENTILE * whole:
            return seconds
    return parts[-1][0]
