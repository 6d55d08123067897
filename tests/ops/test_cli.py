from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.__main__ import app, main
from ops.errors import InterruptedRunError, OperatorError
from ops.root import PROJECT, Root

COMMANDS = [
    "up",
    "down",
    "status",
    "logs",
    "code",
    "bootstrap",
    "synth",
    "doctor",
    "deploy",
    "env",
    "user",
    "secrets",
    "dev",
    "release",
    "rollback",
    "deploy-function",
    "prune",
    "promote",
    "smoke",
    "drift",
    "remove",
    "publish-site",
]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_help_lists_every_command() -> None:
    text = run("--help").stdout
    assert [verb for verb in COMMANDS if verb not in text] == []


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_has_help(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_status_fails_if_no_platform_runs(root: Root) -> None:
    result = run("status", "--root", str(root.path), "--json")
    assert result.exit_code == 1
    status = json.loads(result.stdout)
    assert status["health"] == {"status": 0, "body": "not running: start it with `make up`"}
    assert [process["running"] for process in status["processes"]] == [False, False, False]


def test_down_succeeds_if_no_platform_runs(tmp_path: Path) -> None:
    result = run("down", "--root", str(tmp_path / "never"))
    assert (result.exit_code, result.stderr) == (0, "Nothing was running\n")
    assert not (tmp_path / "never").exists()


def test_purge_deletes_the_platforms_directory(root: Root) -> None:
    assert run("down", "--purge", "--root", str(root.path)).exit_code == 0
    assert not root.path.exists()


def test_purge_keeps_a_directory_that_the_platform_did_not_create(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    result = run("down", "--purge", "--root", str(tmp_path))
    assert isinstance(result.exception, OperatorError)
    assert f"{tmp_path} was not created by the platform, so it was not deleted" in str(
        result.exception
    )
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["env", "local"], "The platform is not running on this machine: start it with `make up`"),
        (
            ["code", "ann@example.com"],
            "The platform is not running on this machine: start it with `make up`",
        ),
        (["bootstrap", "nowhere"], "nowhere.yml: no such environment; known: "),
    ],
)
def test_failure_prints_one_line_and_exits_with_status_1(
    root: Root, arguments: list[str], message: str
) -> None:
    command = [sys.executable, "-m", "ops", *arguments, "--root", str(root.path)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {message}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"), [(OperatorError("why"), 1), (InterruptedRunError("stopped"), 130)]
)
def test_errors_determine_the_exit_status(error: Exception, status: int) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        main(fail)
    assert ended.value.code == status


def test_wrong_arguments_exit_with_status_2(root: Root) -> None:
    assert run("user", "grant", "local", "ann@example.com", "emperor").exit_code == 2
    assert run("logs", "auth", "--since", "yesterday", "--root", str(root.path)).exit_code == 2


def test_make_help_lists_every_target() -> None:
    text = subprocess.check_output(["make", "help"], cwd=PROJECT, text=True)
    targets = [
        "setup",
        "up",
        "down [PURGE=1]",
        "status",
        "logs SERVICE=auth",
        "synth",
        "test",
        "lint",
        "lock",
    ]
    assert [target for target in targets if f"make {target} " not in text] == []


@pytest.mark.parametrize(
    "arguments", [["down"], ["down", "PURGE=1"], ["status"], ["logs", "SERVICE=auth"]]
)
def test_make_before_setup_fails_with_a_hint_and_installs_nothing(
    arguments: list[str], tmp_path: Path
) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    result = subprocess.run(
        ["make", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "the toolchain is not installed: run `make setup` first" in result.stderr
    assert result.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["Makefile"]
