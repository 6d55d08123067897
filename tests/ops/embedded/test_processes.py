from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from ops.embedded.ports import LOOPBACK, choose_port, is_free, is_soon_free
from ops.embedded.processes import MARKER, Process, Processes, base_environment, find_processes
from ops.root import Root

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print(1, flush=True); time.sleep(60)",
]


@pytest.fixture
def processes(root: Root) -> Processes:
    return Processes(root)


def start(
    processes: Processes, root: Root, command: list[str] = SLEEP, name: str = "one"
) -> Process:
    return processes.start(name, command, port=1, environment=base_environment(root), cwd=root.path)


def test_another_command_finds_and_stops_a_started_process(
    processes: Processes, root: Root
) -> None:
    started = start(processes, root)
    recorded = Processes(root).get("one")
    assert recorded == started
    assert recorded.find()
    assert processes.stop(recorded)
    assert recorded.find() is None
    assert processes.all() == []


def test_a_process_that_ignores_the_stop_signal_is_killed(processes: Processes, root: Root) -> None:
    started = start(processes, root, STUBBORN)
    log = root.logs / "one.log"
    while not log.read_text():
        time.sleep(0.02)
    assert processes.stop(started, timeout=0.3) is False
    assert started.find() is None


def test_a_process_with_a_reused_id_is_not_stopped(processes: Processes, root: Root) -> None:
    other = subprocess.Popen(SLEEP)
    try:
        stale = Process("one", other.pid, psutil.Process(other.pid).create_time() - 3600, 1)
        assert stale.find() is None
        processes.stop(stale)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_killed_process_counts_as_ended_while_it_is_a_zombie(
    processes: Processes, root: Root
) -> None:
    started = start(processes, root)
    os.kill(started.pid, 9)
    deadline = time.monotonic() + 5
    while started.find() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert started.find() is None


def test_a_second_process_with_the_same_name_replaces_the_record_of_the_first(
    processes: Processes, root: Root
) -> None:
    first, second = start(processes, root), start(processes, root)
    assert [process.pid for process in processes.all()] == [second.pid]
    for process in (first, second):
        processes.stop(process)


def test_processes_are_found_by_the_root_directory_that_they_use(
    processes: Processes, root: Root
) -> None:
    started = start(processes, root)
    elsewhere = subprocess.Popen(SLEEP, env={**os.environ, MARKER: "/somewhere/else"})
    try:
        assert [process.pid for process in find_processes(root)] == [started.pid]
    finally:
        elsewhere.kill()
        elsewhere.wait()
        processes.stop(started)


def test_services_inherit_neither_python_path_nor_credentials(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/checkout")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-real-one")
    environment = base_environment(root)
    assert not {"PYTHONPATH", "AWS_SECRET_ACCESS_KEY"} & environment.keys()
    assert environment["TMPDIR"].startswith(str(root.path))


def test_the_emulator_ignores_the_users_aws_settings(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / ".aws" / "config"
    config.parent.mkdir()
    config.write_text("[broken\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    # If the emulator read this invalid ~/.aws/config, it would not recognize services such as
    # X-Ray, and would handle calls to them as S3 requests.
    code = "from ministack.core.router import _is_aws_service_name as f; print(f('xray'))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=base_environment(root),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "True\n"


def test_a_port_with_a_listening_server_is_not_free() -> None:
    port = choose_port()
    assert is_free(port)
    with socket.socket() as server:
        server.bind((LOOPBACK, port))
        server.listen()
        assert not is_free(port)


def test_a_port_that_is_in_use_is_not_chosen() -> None:
    first = choose_port()
    second = next(port for port in range(first + 1, first + 100) if is_free(port))
    assert choose_port([first], [first, second]) == second


def test_is_soon_free_waits_for_a_port_that_is_being_released() -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        release = threading.Timer(0.3, listener.close)
        release.start()
        assert not is_free(port)
        assert is_soon_free(port)
        release.join()


def test_an_error_is_raised_if_no_port_is_free() -> None:
    with pytest.raises(RuntimeError, match="No free port found between 29990 and 29991"):
        choose_port([29990, 29991], [29990, 29991])
