"""Tests that the capacity model agrees with the simulation in bench/simulation."""

from __future__ import annotations

import pytest

from bench.simulation.comparison import compare, compare_outage
from bench.simulation.engine import Process, Queue, Simulation, Throttle
from ops.capacity.quotas import load_quotas
from tests.ops.capacity.stacks import make_forecast

AGREEMENT = 0.15


def test_the_model_and_the_simulation_agree() -> None:
    comparisons = list(compare(make_forecast(), load_quotas()))
    assert {item.what.split()[0] for item in comparisons} == {"large", "timeline", "outage"}
    wrong = {item.what: item for item in comparisons if abs(item.difference) > AGREEMENT}
    assert wrong == {}


def test_model_and_simulation_agree_on_recoveries_with_sessions_that_remember_users() -> None:
    quotas = load_quotas().with_granted({"cognito.UserResourceRead": 10})
    forecast = make_forecast(quotas, account_seconds=86_400, reconnect_seconds=90)
    comparison = compare_outage(forecast, quotas, 100_000)
    # Half of the 10,000 online users refresh their session. A quarter of these refreshes read
    # groups. Cognito allows 10 such reads per second.
    assert comparison.model == pytest.approx(10_000 / 2 / 4 / 10)
    assert abs(comparison.difference) < AGREEMENT, comparison


def test_simulated_processes_resume_after_their_waiting_time() -> None:
    simulation, events = Simulation(), list[str]()

    def process(name: str, wait: float) -> Process:
        yield wait
        events.append(f"{name} at {simulation.now:g}")

    simulation.start(process("late", 2))
    simulation.start(process("early", 1))
    simulation.run(until=1.5)
    assert events == ["early at 1"]
    simulation.run()
    assert events == ["early at 1", "late at 2"]


def test_a_queue_processes_one_job_after_the_other() -> None:
    queue = Queue(Simulation())
    assert (queue.work(1), queue.work(2), queue.busy) == (1, 3, 3)


def test_a_throttle_admits_only_as_many_requests_as_its_rate_allows() -> None:
    simulation = Simulation()
    throttle, admitted = Throttle(simulation, 10), list[float]()

    def process() -> Process:
        for _ in range(1000):
            if throttle.take():
                admitted.append(simulation.now)
            yield 0.01

    simulation.start(process())
    simulation.run()
    # The throttle starts with 10 tokens, and adds 10 per second for 10 seconds.
    assert len(admitted) == pytest.approx(110, abs=1)
