"""Tests the comparison of functions' memory sizes."""

from __future__ import annotations

from typing import Any

import pytest

from ops.capacity.calls import load_rows
from ops.capacity.memory import RESERVE, Choice, _percentile, choose
from ops.capacity.processor import load_processor
from ops.capacity.quotas import load_quotas
from ops.cost.prices import load_prices
from tests.ops.capacity.stacks import make_forecast

TABLES: dict[str, Any] = {
    "rows": load_rows(),
    "quotas": load_quotas(),
    "prices": load_prices(),
}


def choices(target_ms: float) -> dict[str, Choice]:
    results = choose(make_forecast(), 1e6, target_ms, **TABLES)
    return {choice.now.function: choice for choice in results}


def test_the_cheapest_memory_size_meets_the_target() -> None:
    for target in (50, 100, 300):
        for choice in choices(target).values():
            assert choice.cheapest is None or choice.cheapest.p99_ms <= target
    assert choices(300)["profile"].cheapest is not None


def test_a_stricter_target_never_needs_less_memory() -> None:
    strict, loose = choices(60), choices(300)
    for name, choice in strict.items():
        other = loose[name].cheapest
        if choice.cheapest:
            assert other
            assert other.memory_mb <= choice.cheapest.memory_mb


def test_no_memory_size_is_fast_enough_for_calls_to_a_language_model() -> None:
    assert choices(300)["ai"].cheapest is None
    assert choices(300)["ai"].now.p99_ms > 4000


def test_less_memory_is_slower_and_cheaper() -> None:
    choice = choices(1e6)["authorizer"]
    assert choice.cheapest is not None
    assert choice.cheapest.p99_ms > choice.now.p99_ms
    assert choice.cheapest.usd < choice.now.usd


def test_the_cheapest_memory_size_leaves_a_reserve_above_the_measured_memory() -> None:
    used = load_processor().memory_mb
    sizes = {name: choice.cheapest for name, choice in choices(1e6).items()}
    assert sizes.keys() - used.keys() == set()
    for name, size in sizes.items():
        assert size is not None
        assert size.memory_mb >= RESERVE * used[name]


def test_the_percentile_weights_each_duration_by_its_number_of_requests() -> None:
    assert _percentile([(0.1, 98), (0.2, 1.5), (9.0, 0.5)]) == pytest.approx(0.2)
    assert _percentile([(0.1, 50), (0.2, 50)]) == pytest.approx(0.2)
