"""Tests that two set-ups in one checkout run one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ops.root import PROJECT

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
    lock, log = tmp_path / "build" / "lock", tmp_path / "log"
    # The first command ends before the program that it starts.
    first = start(lock, f"echo begin >> {log}; (sleep 1; echo end >> {log}) & echo started")
    assert first.stdout
    assert first.stdout.readline() == "started\n"
    second = start(lock, f"echo second >> {log}")
    _, message = second.communicate()
    assert "another `make setup`" in message
    assert log.read_text().split() == ["begin", "end", "second"]
    first.communicate()


def test_the_exit_status_is_the_status_of_the_command(tmp_path: Path) -> None:
    process = start(tmp_path / "lock", "exit 7")
    assert process.wait() == 7


def test_a_read_only_checkout_needs_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output, message = start(tmp_path / "file" / "lock", "echo done").communicate()
    assert (output, message) == ("done\n", "")


def test_setup_checks_the_version_of_python_and_then_uses_the_lock(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((PROJECT / "Makefile").read_text())
    # `make test` sets variables with which an inner make prints more.
    variables = {name: value for name, value in os.environ.items() if "MAKE" not in name}

    def set_up(python: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "setup", f"PYTHON={python}"]
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )

    # The program `false` fails as an old Python does, and `echo` prints its arguments.
    old = set_up("false")
    assert old.stdout.startswith("false is too old: install Python 3.11 or newer, or select it:")
    assert [file.name for file in tmp_path.iterdir()] == ["Makefile"]
    called = set_up("echo").stdout
    assert "tools/exclusively.py .build/setup.lock make --no-print-directory toolchain" in called
