"""Tests the load generator: when it sends requests, the latencies and other figures that it
reports, and that it avoids coordinated omission.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from random import Random
from typing import Any

import pytest
import urllib3

from bench.load.mix import EMPTY_FUNCTION, SESSION, left_out, mix
from bench.load.report import ALL, THROTTLED, Row, document, summarize, table
from bench.load.requests import PLAIN, PREPARED
from bench.load.runner import UNFINISHED, Attempt, Measured, Sample, run
from bench.load.schedule import Arrival, Phase, plan_arrivals, plan_phases
from bench.load.world import World
from ops.capacity.model import load_model

INTERVAL = 0.02
STALL = 0.4
"""Seconds that the local server needs for request number STALLED.

Other requests take almost no time.
"""
STALLED = 5
SEEDED = Random(1)  # noqa: S311


def every(interval: float, count: int, name: str = "GET /") -> list[Arrival]:
    return [Arrival(name, number * interval, 0) for number in range(count)]


def test_arrivals_have_the_rate_of_their_phase() -> None:
    phases = plan_phases([100, 300], seconds=20, ramp=10)
    assert [(phase.first_rate, phase.last_rate) for phase in phases] == [
        (0, 100),
        (100, 100),
        (100, 300),
        (300, 300),
    ]
    arrivals = plan_arrivals(phases, {"a": 3, "b": 1}, SEEDED, is_poisson=True)
    counts = Counter(arrival.phase for arrival in arrivals)
    for number, expected in enumerate((500, 2000, 2000, 6000)):
        assert counts[number] == pytest.approx(expected, rel=0.1)
    seconds = [arrival.second for arrival in arrivals]
    assert seconds == sorted(seconds)
    # A quarter of a ramp's requests arrive in its first half, because the ramp starts at 0.
    early = sum(arrival.phase == 0 and arrival.second < 5 for arrival in arrivals)
    assert early / counts[0] == pytest.approx(1 / 4, abs=0.06)
    names = Counter(arrival.name for arrival in arrivals)
    assert names["a"] / names["b"] == pytest.approx(3, rel=0.1)


def test_fixed_arrivals_have_equal_intervals_and_random_ones_do_not() -> None:
    phases = [Phase(2, 10, 10)]
    fixed = plan_arrivals(phases, {"a": 1}, SEEDED, is_poisson=False)
    assert [arrival.second for arrival in fixed] == pytest.approx([n / 10 for n in range(1, 21)])
    random = plan_arrivals([Phase(200, 10, 10)], {"a": 1}, SEEDED, is_poisson=True)
    gaps = [b.second - a.second for a, b in itertools.pairwise(random)]
    # The standard deviation of exponentially distributed gaps equals their mean.
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.1)


@contextmanager
def run_server() -> Iterator[tuple[str, list[float]]]:
    """Runs a server that handles one request at a time, and needs STALL seconds for request number
    STALLED.

    Yields its address and the seconds that it spent on each request.
    """
    seconds: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            begun = time.monotonic()
            if len(seconds) == STALLED:
                time.sleep(STALL)
            self.send_response(204)
            self.end_headers()
            seconds.append(time.monotonic() - begun)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", seconds
        finally:
            server.shutdown()
            thread.join()


def test_latencies_include_the_wait_for_an_earlier_slow_response() -> None:
    async def load(address: str) -> Measured:
        pool = urllib3.PoolManager(retries=False)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

        async def perform(attempt: Attempt) -> None:
            with attempt.step(attempt.arrival.name):
                await asyncio.to_thread(pool.request, "GET", address)

        return await run(every(INTERVAL, 40), perform)

    with run_server() as (address, server_seconds):
        measured = asyncio.run(load(address))
    # The server needed little time for most requests, so high latencies come from waiting.
    assert statistics.median(server_seconds) < STALL / 4
    latencies = [sample.latency for sample in measured.samples]
    assert len(latencies) == 40
    assert latencies[STALLED] >= STALL
    # Later requests waited for the slow request to finish.
    for later in range(1, 10):
        assert latencies[STALLED + later] >= STALL - later * INTERVAL - 0.005
    waiting = STALL / 2 / INTERVAL
    assert sum(latency > STALL / 2 for latency in latencies) >= waiting


def test_requests_are_sent_without_waiting_for_earlier_responses() -> None:
    async def load() -> Measured:
        every_request = asyncio.Barrier(20)

        async def perform(attempt: Attempt) -> None:
            with attempt.step("a"):
                await every_request.wait()

        return await asyncio.wait_for(run(every(0.001, 20, "a"), perform), 30)

    measured = asyncio.run(load())
    assert [sample.problem for sample in measured.samples] == [""] * 20


def test_latencies_start_at_the_planned_time_even_if_the_client_is_late() -> None:
    async def perform(attempt: Attempt) -> None:
        with attempt.step("busy"):
            time.sleep(0.1)  # delays the start of the client's next requests

    measured = asyncio.run(run(every(0.01, 3), perform))
    assert [
        sample.latency >= 0.1 * number - 0.01 * number
        for number, sample in enumerate(measured.samples, 1)
    ] == [True] * 3
    assert measured.latest_start >= 0.17


def test_each_step_begins_when_the_previous_one_ended() -> None:
    async def perform(attempt: Attempt) -> None:
        for name in ("ticket", "connect"):
            with attempt.step(name):
                await asyncio.sleep(0.05)

    measured = asyncio.run(run([Arrival(SESSION, 0.0, 0)], perform))
    ticket, connect = measured.samples
    assert (ticket.name, connect.name) == ("ticket", "connect")
    assert connect.planned == ticket.ended
    assert ticket.latency >= 0.05


def test_a_request_without_a_response_is_counted_as_unfinished() -> None:
    async def perform(attempt: Attempt) -> None:
        with attempt.step("stuck"):
            await asyncio.sleep(60)

    measured = asyncio.run(run(every(0, 1, "stuck"), perform, drain=0.05))
    assert [sample.problem for sample in measured.samples] == [UNFINISHED]


def test_an_interrupted_load_returns_the_samples_of_all_started_requests() -> None:
    async def load() -> Measured:
        stop = asyncio.Event()

        async def perform(attempt: Attempt) -> None:
            with attempt.step("a"):
                await asyncio.sleep(0)
            if attempt.arrival.second > 0.04:
                stop.set()

        return await run(every(0.02, 1000, "a"), perform, stop=stop)

    measured = asyncio.run(load())
    assert measured.is_interrupted
    assert 3 <= measured.started < 1000
    assert len(measured.samples) == measured.started


def test_an_error_in_the_code_that_sends_a_request_is_raised() -> None:
    async def perform(_: Attempt) -> None:
        raise KeyError("no such route")

    with pytest.raises(KeyError):
        asyncio.run(run(every(0, 1), perform))


def samples(name: str, milliseconds: list[float], problem: str = "") -> list[Sample]:
    return [Sample(name, 1, 2.0, 2.0 + value / 1000, problem) for value in milliseconds]


def test_rates_and_percentiles_are_computed_from_the_samples() -> None:
    measured = Measured(
        [
            *samples("GET /a", [float(value) for value in range(1, 102)]),
            *samples("GET /a", [0.1], THROTTLED),
            *samples("GET /a", [9000.0, 9000.0], "500 internal_error"),
            *samples(EMPTY_FUNCTION, [10.0, 10.0, 10.0]),
            Sample("GET /a", 0, 0.0, 99.0),
        ]
    )
    [step] = summarize(measured, [Phase(1, 0, 5), Phase(10, 5, 5)], Counter({0: 1, 1: 107}))
    rows = {row.name: row for row in step.rows}
    row = rows["GET /a"]
    assert row.percentiles == {50: pytest.approx(51), 95: pytest.approx(96), 99: pytest.approx(100)}
    assert (row.requests, row.throttled, row.problems) == (104, 1, {"500 internal_error": 2})
    assert row.largest == pytest.approx(101)
    assert rows[ALL].requests == 104
    assert rows[EMPTY_FUNCTION].percentiles == {50: pytest.approx(10), 95: None, 99: None}
    [line] = [line for line in table(step) if line.startswith("| GET /a |")]
    assert line == "| GET /a | 104 | 51.0 | 96.0 | 100 | 101 | 5.1 | 2 | 1 |"
    [reported] = document([step], measured)["steps"]
    assert reported["arrivals"] == 107
    assert [item["name"] for item in reported["rows"]] == [ALL, EMPTY_FUNCTION, "GET /a"]


def test_a_route_without_accepted_requests_has_no_percentiles() -> None:
    measured = Measured(samples("GET /a", [5.0], THROTTLED))
    [step] = summarize(measured, [Phase(1, 0, 5), Phase(10, 5, 5)], Counter())
    assert step.rows[1] == Row("GET /a", 1, 1, {}, {50: None, 95: None, 99: None}, None)


def test_the_mix_has_the_weights_of_the_model_plus_a_tenth_for_the_empty_function() -> None:
    model = load_model()
    weights = mix(model)
    assert weights["GET /v1/posts"] / weights["frame send_message"] == 8 / 20
    assert weights[SESSION] == model.population.sessions.value
    assert weights.pop(EMPTY_FUNCTION) == pytest.approx(sum(weights.values()) / 10)
    assert set(model.requests) - set(weights) == set(left_out(model))


def test_the_load_can_send_every_request_of_the_mix() -> None:
    routes = {name for name in mix(load_model()) if not name.startswith("frame ")}
    routes -= {EMPTY_FUNCTION, SESSION}
    assert routes <= PREPARED.keys() | PLAIN.keys()
    assert not PREPARED.keys() & PLAIN.keys()


def test_disconnect_closes_every_connection_and_returns_the_errors() -> None:
    closed = []

    class Connection:
        def __init__(self, error: Exception | None) -> None:
            self.error = error

        async def close(self) -> None:
            closed.append(self)
            if self.error:
                raise self.error

    unused: Any = None
    world = World(unused, unused, [], SEEDED)
    error = ValueError("a frame without JSON")
    connections: Any = {"ann": Connection(error), "bob": Connection(None)}
    world.clients = connections
    assert asyncio.run(world.disconnect()) == [error]
    assert len(closed) == 2
