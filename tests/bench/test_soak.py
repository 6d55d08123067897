"""Tests the figures that the soak test reports."""

from __future__ import annotations

import pytest

from bench.soak import Sample, Use, disk_growth, growing_processes, process_uses


def sample(requests: int, disk: float, **uses: Use) -> Sample:
    return Sample(0, requests, 900, 150, 270, disk, 20, 1, uses)


def test_disk_growth_is_measured_in_the_second_half_of_the_soak() -> None:
    first = [sample(number * 100, 500 - number) for number in range(10)]
    # In these samples, each request adds 200 bytes (0.02 MB per 100 requests). Two samples contain
    # another 5 MB, which the embedded AWS needs temporarily for a full save.
    second = [
        sample(1000 + number * 100, 300 + number * 0.02 + (5 if number in {3, 6} else 0))
        for number in range(10)
    ]
    assert disk_growth(first + second) == pytest.approx(200, abs=50)


@pytest.mark.parametrize(
    ("memory", "files", "expected"),
    [
        (101.0, 40, []),
        (106.0, 40, ["memory of cache grew from 100.0 to 106.0"]),
        (100.0, 43, []),
        (100.0, 44, ["descriptors of cache grew from 40.0 to 44.0"]),
    ],
)
def test_growth_of_a_single_service_is_reported(
    memory: float, files: int, expected: list[str]
) -> None:
    before, after = Use(1, 100.0, 40), Use(1, memory, files)
    constant = Use(3, 60.0, 15)
    samples = [sample(1, 1, aws=constant, cache=before) for _ in range(6)]
    samples += [sample(1, 1, aws=constant, cache=after) for _ in range(2)]
    assert growing_processes(process_uses(samples)) == expected


def test_a_function_whose_workers_have_ended_is_not_reported() -> None:
    samples = [sample(1, 1, chat=Use(1, 60.0, 15))] * 6 + [sample(1, 1)] * 2
    assert growing_processes(process_uses(samples)) == []
