"""Tests the progress line of long commands and its estimate of the remaining time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops import console
from ops.__main__ import app
from ops.commands.index import ENTRIES, Entry
from ops.console import Progress, expecting, print_line, report, without_progress
from ops.durations import estimated
from tests.ops.conftest import SetTerminal

QUICK = {
    "status": "reads the state of processes and calls /health once",
    "code": "reads a file",
    "console": "runs until interrupted",
    "queue": "calls SQS a few times",
    "secrets": "calls the Parameter Store a few times",
    "user": "calls Cognito a few times",
    "dev": "runs until interrupted; its start shows the estimate of `up`",
    "logs": "prints lines as it reads them",
    "tail": "runs until interrupted",
    "invoke": "prints the log lines of one invocation",
    "env": "prints variables",
}
"""Commands without an estimate, with the reason why they need none."""
QUICK_IN_GROUPS = {("environment", "new")}


Shown = Callable[[], str]


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], set_terminal: SetTerminal) -> Shown:
    """Makes standard error a terminal. Returns a function that returns the text on this
    terminal.
    """
    set_terminal(width=60)
    return lambda: re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)


def refresh() -> None:
    """Draws the progress line immediately. Otherwise, a thread draws it twice per second."""
    assert console._line._live
    console._line._live.refresh()


def list_commands(entry: Entry) -> list[str]:
    loaded: Any = entry.load()
    return list(loaded.commands) if hasattr(loaded, "commands") else []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_command_that_takes_seconds_has_an_estimate(entry: Entry) -> None:
    if isinstance(entry.duration, Mapping):
        without = set(list_commands(entry)) - entry.duration.keys()
        assert {(entry.name, name) for name in without} <= QUICK_IN_GROUPS
    else:
        assert bool(entry.duration) == (entry.name not in QUICK)


class _StoppedError(Exception):
    """Ends a command before it does anything."""


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.duration], ids=lambda entry: entry.name
)
def test_every_long_command_begins_with_its_estimate(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimates = {}

    @contextmanager
    def stop(name: str, _: Any, seconds: float) -> Iterator[None]:
        estimates[name] = seconds
        raise _StoppedError
        yield

    monkeypatch.setattr("ops.commands.index.estimated", stop)
    loaded: Any = entry.load()
    if isinstance(entry.duration, Mapping):
        expected = {f"{entry.name} {name}": value for name, value in entry.duration.items()}
        commands = [loaded.commands[name] for name in entry.duration]
    else:
        assert entry.duration
        expected, commands = {entry.name: entry.duration}, [loaded]
    for command in commands:
        with pytest.raises(_StoppedError):
            command.callback()
    assert estimates == expected


def test_a_command_shows_an_estimate(root: Any, set_terminal: SetTerminal) -> None:
    set_terminal()
    result = CliRunner().invoke(app, ["down", "--root", str(root)])
    assert result.exit_code == 0
    assert re.search(
        r"ops down(, about \d+ s left)?.*Nothing was running", result.stderr, re.DOTALL
    )


def test_the_estimate_is_the_duration_of_the_last_run_with_the_same_arguments(
    terminal: Shown, tmp_path: Path
) -> None:
    file = tmp_path / "build" / "durations.json"
    slow = {"environment": "dev", "yes": True, "plan": tmp_path / "plan"}
    for arguments in (slow, {"environment": "prod", "yes": False}):
        with estimated("review", arguments, 600.0, file):
            assert "ops review, about 10 min left" in terminal()
            time.sleep(1.01)
    durations = json.loads(file.read_text())
    assert durations.keys() == {"review environment=dev plan=True", "review environment=prod"}
    assert 1 <= durations["review environment=prod"] < 60
    file.write_text(json.dumps({"review environment=dev plan=True": 60.9}))
    with estimated("review", {**slow, "plan": tmp_path / "other", "yes": False}, 600.0, file):
        assert "ops review, about 61 s left" in terminal()
    # The second run took less than a second because it had nothing to do, so its duration is not
    # stored.
    assert json.loads(file.read_text()) == {"review environment=dev plan=True": 60.9}


def test_a_failed_command_does_not_change_the_estimate(tmp_path: Path) -> None:
    file = tmp_path / "durations.json"
    with pytest.raises(ValueError, match="failed"), estimated("deploy", {}, 600.0, file):
        raise ValueError("failed")
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"up": "long"}', '{"up": null}'])
def test_damaged_durations_are_ignored(content: str, terminal: Shown, tmp_path: Path) -> None:
    file = tmp_path / "durations.json"
    file.write_text(content)
    with estimated("up", {}, 90.9, file):
        assert "ops up, about 91 s left" in terminal()


def test_a_read_only_checkout_does_not_fail_a_command(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with estimated("up", {}, 90.0, tmp_path / "file" / "durations.json"):
        time.sleep(1.01)


def test_the_duration_excludes_the_time_spent_at_prompts() -> None:
    with expecting("ops deploy", 10.0) as elapsed:
        with without_progress():
            time.sleep(0.2)
        assert elapsed() < 0.1


def test_the_line_shows_the_current_step_with_the_estimate(terminal: Shown) -> None:
    with expecting("ops up", 70.2):
        with Progress("synthesizing local") as step:
            refresh()
            assert "synthesizing local, about 70 s left" in terminal()
            step.show("terraform: 1 of 482", seconds_left=100.2)
            refresh()
            # The estimate of the step exceeds that of the command, so it is shown instead.
            assert "terraform: 1 of 482, about 100 s left" in terminal()
        refresh()
        assert "ops up, about 70 s left" in terminal()


def test_a_command_that_takes_longer_than_estimated_shows_no_estimate(terminal: Shown) -> None:
    with expecting("ops up", 0.5):
        assert re.fullmatch(r"\s*. ops up\s*", terminal())


def test_printing_a_result_removes_the_line_and_printing_a_message_keeps_it(
    terminal: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    with expecting("ops up", 70.0):
        report("Applied")
        assert console._line._live
        print_line("API https://127.0.0.1")
        assert console._line._live is None
    assert capsys.readouterr().out == "API https://127.0.0.1\n"


def test_the_line_is_hidden_during_a_prompt(terminal: Shown) -> None:
    with expecting("ops deploy", 70.0):
        with without_progress():
            assert console._line._live is None
        assert console._line._live


def test_steps_in_threads_share_the_line(terminal: Shown) -> None:
    outer, inner = Progress("bootstrap"), Progress("synthesizing local")
    with outer, inner:
        outer.__exit__()
        assert console._line._steps == [inner]
        outer.__enter__()
    assert console._line._live is None
    assert console._line._steps == []


def test_output_that_is_not_a_terminal_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with expecting("ops up", 70.0), Progress() as step:
        step.show("terraform: 1 of 482")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("width", [1, 20, 40])
def test_a_long_line_stays_one_line_on_a_narrow_terminal(
    width: int, capsys: pytest.CaptureFixture[str], set_terminal: SetTerminal
) -> None:
    set_terminal(soft_wrap=True, width=width)
    with expecting("ops up", 70.2), Progress() as step:
        step.show("terraform: 58 of 476, waiting for aws_s3_bucket.storage_artifacts " * 3)
        refresh()
    printed = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert max(map(len, re.split(r"[\r\n]+", printed))) <= max(width, 3)
    if width == 40:
        # The text of the step is shortened, and the estimate is shown completely.
        assert "terraform: 58 of 476…, about 70 s left" in printed


def test_no_color_disables_colors(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, set_terminal: SetTerminal
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    set_terminal()
    with expecting("ops up", 70.0):
        pass
    assert not re.search(r"\x1b\[[0-9;]*m", capsys.readouterr().err)


def test_only_one_module_prompts_so_that_the_line_never_covers_a_question() -> None:
    files = (Path(console.__file__).parent).rglob("*.py")
    prompting = {
        file.name for file in files if re.search(r"typer\.(confirm|prompt)\(", file.read_text())
    }
    assert prompting == {"options.py"}
