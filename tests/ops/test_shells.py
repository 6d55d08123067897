"""Tests commands in unusual shells, on full disks, and after interrupts."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.deployment.environment_file import create_environment
from ops.root import PROJECT, write_text


def test_a_command_needs_no_home_directory_no_utf8_locale_and_no_active_environment(
    tmp_path: Path,
) -> None:
    variables = {
        **os.environ,
        "AWS_PROFILE": "missing",
        "LANG": "C",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "VIRTUAL_ENV": "/missing/environment",
    }
    del variables["HOME"]
    result = subprocess.run(
        [sys.executable, "-m", "ops", "synth", "local", "--out", str(tmp_path)],
        cwd=PROJECT,
        env=variables,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr.splitlines()[-1:]) == (0, [f"Wrote {tmp_path}/stacks"])
    assert (tmp_path / "stacks" / "local" / "cdk.tf.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("module", ["typer", "ops.commands.index", "ops.commands.environment"])
def test_an_interrupt_during_imports_prints_no_traceback(module: str) -> None:
    code = (
        "import os, runpy, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.argv[1:] = ['synth', 'nowhere']\n"
        "runpy.run_module('ops', run_name='__main__')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    # The signal ended the program, or the program exited with 130. A shell shows 130 for both.
    assert (result.returncode in {-signal.SIGINT, 130}, result.stderr) == (True, "")


def interrupt_writes(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes `Path.write_text` write only the first half of the text, and then raise `error`."""
    write = Path.write_text

    def write_half(path: Path, text: str, **options: str) -> int:
        write(path, text[: len(text) // 2], **options)
        raise error

    monkeypatch.setattr(Path, "write_text", write_half)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr
)
def test_a_full_disk_and_an_interrupt_leave_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "file").write_text("before")
    (tmp_path / "dev.yml").write_bytes((PROJECT / "environments" / "dev.yml").read_bytes())
    interrupt_writes(monkeypatch, error)
    with pytest.raises(type(error)):
        write_text(tmp_path / "file", "after")
    with pytest.raises(type(error)):
        create_environment("qa", "dev", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dev.yml", "file"]
    assert (tmp_path / "file").read_text() == "before"


def test_a_device_is_written_directly() -> None:
    with pytest.raises(OSError, match="No space left on device"):
        write_text(Path("/dev/full"), "text")
