"""Tests that a draft reaches the checkout completely or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.errors import OperatorError
from ops.root import PROJECT
from ops.scaffold.draft import Draft, copy_checkout, draft_of
from ops.scaffold.service import check_name, create_service


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "old").write_text("old")
    (folder / "kept.py").write_text("kept")
    (folder / ".venv").mkdir()
    return folder


def content(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


def change(draft: Draft) -> None:
    (draft.path / "a" / "old").write_text("new")
    (draft.path / "new" / "folder").mkdir(parents=True)
    (draft.path / "new" / "folder" / "file").write_text("file")
    (draft.path / "kept.py").write_text("kept")


def test_only_changed_files_reach_the_checkout(checkout: Path) -> None:
    modified_at = (checkout / "kept.py").stat().st_mtime_ns
    with draft_of(checkout) as draft:
        change(draft)
        assert content(checkout).keys() >= {"a/old", "kept.py"}
        assert (checkout / "a" / "old").read_text() == "old"
        assert draft.publish() == [Path("a/old"), Path("new/folder/file")]
    assert content(checkout) == {"a/old": "new", "kept.py": "kept", "new/folder/file": "file"}
    assert (checkout / "kept.py").stat().st_mtime_ns == modified_at


@pytest.mark.parametrize("error", [OperatorError, KeyboardInterrupt])
def test_a_failure_and_an_interrupt_change_nothing(
    checkout: Path, error: type[BaseException]
) -> None:
    def fail() -> None:
        with draft_of(checkout) as draft:
            change(draft)
            raise error

    before = content(checkout)
    with pytest.raises(error):
        fail()
    assert content(checkout) == before


def test_replaced_files_are_restored_if_another_file_cannot_be_written(checkout: Path) -> None:
    before = content(checkout)
    with draft_of(checkout) as draft:
        change(draft)
        (draft.path / "z").mkdir()
        (draft.path / "z" / "file").write_text("file")
        (checkout / "z").write_text("a file where the draft has a folder")
        with pytest.raises(OperatorError, match="cannot be written"):
            draft.publish()
        (checkout / "z").unlink()
    assert content(checkout) == before
    assert not (checkout / "new").exists()


def test_a_file_that_changed_during_the_command_is_not_replaced(checkout: Path) -> None:
    with draft_of(checkout) as draft:
        change(draft)
        (checkout / "a" / "old").write_text("edited meanwhile")
        with pytest.raises(OperatorError, match="changed a/old while this command was running"):
            draft.publish()
    assert content(checkout) == {"a/old": "edited meanwhile", "kept.py": "kept"}


def test_a_checkout_that_cannot_be_written_fails_with_one_line(tmp_path: Path) -> None:
    (tmp_path / ".build").write_text("a file where the command needs a folder")
    with pytest.raises(OperatorError, match="is not writable") as raised, draft_of(tmp_path):
        pass
    assert "\n" not in str(raised.value)


def test_the_error_for_a_missing_insertion_point_names_the_file_and_the_missing_text(
    checkout: Path,
) -> None:
    with (
        draft_of(checkout) as draft,
        pytest.raises(
            OperatorError, match=r"kept\.py no longer contains 'x'.*add the service by hand"
        ),
    ):
        draft.insert("kept.py", "x", "y")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Notes", "is not a name for a service"),
        ("n", "is not a name for a service"),
        ("1a", "is not a name for a service"),
        ("a-b", "is not a name for a service"),
        ("a" * 17, "is not a name for a service"),
        ("class", "is not a name for a service"),
        ("auth", "is already the name"),  # the name of a function
        ("posts", "is already the name"),  # a path
        ("common", "is already the name"),  # the name of a folder in lambdas/
        ("storage", "is already the name"),  # a module
        ("platform", "is already the name"),  # a prefix of tables
        ("environment", "is already the name"),  # its class would have the name of another class
    ],
)
def test_a_bad_or_taken_name_fails_with_one_line(name: str, message: str) -> None:
    with pytest.raises(OperatorError, match=message) as raised:
        create_service(name)
    assert "\n" not in str(raised.value)


def test_a_free_name_is_accepted() -> None:
    check_name("notes")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Yields a copy of the checkout, and the process of `ops new service` that runs in it."""
    copy = tmp_path / "copy"
    copy_checkout(copy)
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "new", "service", "notes"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        yield copy, process


def test_an_interrupted_command_leaves_no_files(
    running: tuple[Path, subprocess.Popen[str]],
) -> None:
    copy, process = running
    while not list(copy.glob(".build/draft-*/lambdas/notes")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not list(copy.glob(".build/draft-*"))
    assert not (copy / "lambdas" / "notes").exists()
    original = (PROJECT / "modules" / "stack.py").read_text()
    assert (copy / "modules" / "stack.py").read_text() == original
