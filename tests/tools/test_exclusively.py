"""Tests that installations in one checkout run one after the other, and stop without tracebacks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.root import PROJECT
from tests.waiting import wait_for

SCRIPT = PROJECT / "tools" / "exclusively.py"


def start(lock: Path, command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(lock), "sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_command_waits_for_the_first_and_all_programs_that_it_started(
    tmp_path: Path,
) -> None:
    lock, log, end = tmp_path / "build" / "lock", tmp_path / "log", tmp_path / "end"
    # The first command ends before the program that it starts.
    program = f"until [ -e {end} ]; do sleep 0.1; done; echo end >> {log}"
    first = start(lock, f"echo begin >> {log}; ({program}) & echo started")
    assert first.stdout
    assert first.stdout.readline() == "started\n"
    second = start(lock, f"echo second >> {log}")
    assert second.stderr
    assert "another installation" in second.stderr.readline()
    end.touch()
    second.communicate()
    assert log.read_text().split() == ["begin", "end", "second"]
    first.communicate()


def test_the_exit_status_is_the_status_of_the_command(tmp_path: Path) -> None:
    process = start(tmp_path / "lock", "exit 7")
    assert process.wait() == 7


def test_a_read_only_checkout_needs_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output, message = start(tmp_path / "file" / "lock", "echo done").communicate()
    assert (output, message) == ("done\n", "")


STOPPED = "Stopped: run the same command again to continue\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_programs_without_a_traceback(
    tmp_path: Path, number: signal.Signals
) -> None:
    program = f"import pathlib, time; pathlib.Path({str(tmp_path / 'begun')!r}).touch()"
    process = start(tmp_path / "lock", f'{sys.executable} -c "{program}; time.sleep(60)"; echo no')
    wait_for((tmp_path / "begun").exists)
    process.send_signal(number)
    assert process.communicate() == ("", STOPPED)
    assert process.returncode == 130


def test_a_second_interrupt_kills_programs_that_ignore_the_first(tmp_path: Path) -> None:
    begun, terminated = tmp_path / "begun", tmp_path / "terminated"
    command = f"trap 'touch {terminated}' TERM; touch {begun}; while :; do sleep 0.1; done"
    process = start(tmp_path / "lock", command)
    for file in (begun, terminated):
        wait_for(file.exists)
        process.send_signal(signal.SIGINT)
    _, message = process.communicate()
    assert message.endswith(STOPPED)
    assert process.returncode == 130


def test_an_interrupted_setup_prints_no_traceback_and_can_be_repeated(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for lock in ("Pipfile.lock", "package-lock.json"):
        (tmp_path / lock).touch()
    (tmp_path / "tools").mkdir()
    shutil.copy(SCRIPT, tmp_path / "tools")
    python = tmp_path / ".venv" / "bin" / "python"
    variables = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    # Without an index, the set-up fails after it has created the virtual environment.
    variables |= {"PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": "", "PIP_NO_INDEX": "1"}
    command = ["make", "setup", f"PYTHON={sys.executable}"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Programs that a shell starts in the background ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    wait_for(python.exists)
    # Ctrl-C sends the signal to the terminal's whole foreground group.
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate()
    assert STOPPED in output
    assert "Traceback" not in output
    repeated = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert "No matching distribution found for pipenv" in repeated.stderr
    assert (tmp_path / ".venv" / "bin" / "pip").exists()


def test_setup_checks_the_version_of_python_and_then_uses_the_lock(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((PROJECT / "Makefile").read_text())
    # `make test` sets variables that would make the inner make print more.
    variables = {name: value for name, value in os.environ.items() if "MAKE" not in name}

    def set_up(python: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "setup", f"PYTHON={python}"]
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )

    # With `false` as the interpreter, the version check fails as it does with an old Python. `echo`
    # prints the arguments that Python would receive.
    old = set_up("false")
    assert old.stdout.startswith("false is too old: install Python 3.11 or newer, or select it:")
    assert [file.name for file in tmp_path.iterdir()] == ["Makefile"]
    called = set_up("echo").stdout
    assert "tools/exclusively.py .build/setup.lock make --no-print-directory install" in called
