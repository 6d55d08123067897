"""Tests the measurement of the CPU time of processes."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from bench.processor_time.clock import cpu_seconds, difference, read

PROGRAM = """
import sys, threading, time

def work(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

for line in sys.stdin:
    thread = threading.Thread(target=work, args=(float(line),))
    thread.start()
    thread.join()
    print(flush=True)
"""


def test_the_cpu_time_of_another_process_includes_threads_that_ended() -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout

        stdin, stdout = child.stdin, child.stdout

        def work(seconds: float) -> float:
            before = read([psutil.Process(child.pid)])
            stdin.write(f"{seconds}\n")
            stdin.flush()
            stdout.readline()
            used = difference(before, read([psutil.Process(child.pid)]))
            assert used is not None
            return used

        work(0)
        for _ in range(5):
            # 4 ms is shorter than the clock ticks in /proc, which are 10 ms.
            assert 0.004 <= work(0.004) < 0.03
        stdin.close()
        child.wait()
        assert read([]) == {}
        with pytest.raises(ProcessLookupError):
            cpu_seconds(child.pid)


def test_the_difference_is_none_if_a_process_started_or_ended_between_the_readings() -> None:
    assert difference({1: 1.0, 2: 2.0}, {1: 1.5, 2: 2.25}) == pytest.approx(0.75)
    assert difference({1: 1.0}, {1: 1.0, 2: 0.1}) is None
    assert difference({1: 1.0, 2: 0.1}, {1: 1.0}) is None
