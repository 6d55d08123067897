"""Tests the figures that the soak test reports."""

from __future__ import annotations

import pytest

from bench.soak import Sample, disk_growth


def sample(requests: int, disk: float) -> Sample:
    return Sample(0, requests, 900, 150, 270, disk, 20, 1)


def test_disk_growth_is_measured_in_the_second_half_of_the_soak() -> None:
    first = [sample(number * 100, 500 - number) for number in range(10)]
    # 0.02 MB for 100 requests are 200 bytes per request. Each full save temporarily adds 5 MB.
    second = [
        sample(1000 + number * 100, 300 + number * 0.02 + (5 if number in {3, 6} else 0))
        for number in range(10)
    ]
    assert disk_growth(first + second) == pytest.approx(200, abs=50)
