from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from ops.__main__ import app, main
from ops.commands.index import ENTRIES, Entry
from ops.errors import InterruptedRunError, OperatorError
from ops.root import PROJECT, Root
from tests.ops.conftest import SetTerminal

COMMANDS = [entry.name for entry in ENTRIES]


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
    assert re.search(r"Example: (eval \"\$\()?ops ", result.stdout)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_example_is_a_valid_command(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prod.plan").touch()
    monkeypatch.chdir(tmp_path)
    words = shlex.split(re.sub(r'^eval "\$\((.*)\)"$', r"\1", entry.example))
    assert words[:2] == ["ops", entry.name]
    command, arguments = entry.load(), words[2:]
    while isinstance(command, TyperGroup):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    assert command.make_context("ops", list(arguments)).params


def test_an_unknown_command_suggests_a_similar_one() -> None:
    result = run("deplyo")
    assert result.exit_code == 2
    assert "deploy" in result.stderr


def loaded_modules(*arguments: str, **variables: str) -> tuple[str, set[str]]:
    """Runs a command in a new process. Returns its output and the names of imported packages."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from ops.__main__ import main\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=PROJECT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout, {name.partition(".")[0] for name in result.stderr.split()}


HEAVY = {"boto3", "botocore", "pydantic", "cdktf", "jinja2", "environments"}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_command(option: str) -> None:
    output, modules = loaded_modules(option)
    assert output
    assert "typer" in modules
    assert not modules & HEAVY


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ops depl", {"deploy", "deploy-function"}),
        ("ops deploy st", {"staging"}),
        ("ops release dev pro", {"profile"}),
        ("ops logs ch", {"chat"}),
        ("ops user gr", {"grant"}),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_environments_and_services(
    shell: str, words: str, expected: set[str]
) -> None:
    variables = {
        "_OPS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words.rsplit(maxsplit=1)[-1],
    }
    output, _ = loaded_modules(**variables)
    begin = r"^(?:_arguments .*?\(\(?)?\"?"
    assert expected == set(re.findall(begin + "([a-z-]+)", output, re.MULTILINE))


def test_the_installed_program_runs_from_any_directory(tmp_path: Path) -> None:
    environment = tmp_path / "new checkout" / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    for name in ("tools", "ops", "pyproject.toml"):
        (environment.parent / name).symlink_to(PROJECT / name)
    program = environment / "bin" / "ops"
    program.symlink_to("../../tools/ops")
    site = Path(typer.__file__).parents[1]
    result = subprocess.run(
        [program, "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("ops 1.0.0\n", "")


def test_status_fails_if_no_platform_runs(root: Root) -> None:
    result = run("status", "--root", str(root.path), "--json")
    assert result.exit_code == 1
    status = json.loads(result.stdout)
    assert status["health"] == {"status": 0, "body": "not running: start it with `make up`"}
    assert [process["running"] for process in status["processes"]] == [False] * 6


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
    ("error", "status"),
    [
        (OperatorError("why"), 1),
        (InterruptedRunError("stopped"), 130),
        (KeyboardInterrupt(), 130),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (OSError(errno.EROFS, "Read-only file system", "/checkout/.build"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "/checkout/.local"), 1),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/folder/file"), 1),
    ],
    ids=repr,
)
def test_errors_determine_the_exit_status(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        main(fail)
    assert ended.value.code == status
    message = capsys.readouterr().err
    assert message.count("\n") == (0 if isinstance(error, KeyboardInterrupt) else 1)
    assert str(getattr(error, "filename", None) or "") in message


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


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.next_step])
@pytest.mark.parametrize("status", [None, 0, 1])
def test_a_command_that_succeeded_prints_the_next_step_on_a_terminal(
    entry: Entry,
    status: int | None,
    capsys: pytest.CaptureFixture[str],
    set_terminal: SetTerminal,
) -> None:
    def execute(**_: Any) -> None:
        if status is not None:
            raise typer.Exit(status)

    run_entry = entry._suggest_next_step(execute)
    arguments = {parameter.name: f"a-{parameter.name}" for parameter in entry.load().params}
    for is_terminal in (True, False):
        set_terminal(is_terminal=is_terminal)
        with suppress(typer.Exit):
            run_entry(**arguments)
        printed = capsys.readouterr().err
        assert bool(printed) == (is_terminal and status != 1)
        assert not printed or printed.startswith("Next: ops ")
        assert "{" not in printed
