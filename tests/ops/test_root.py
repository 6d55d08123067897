from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops.errors import OperatorError
from ops.root import PROJECT, Root, read_json, write_json

HOLD = """
import sys
from pathlib import Path
from types import SimpleNamespace
from ops.root import Root
with Root(Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_command_is_rejected_until_the_first_one_ends(root: Root) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root.path)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout
    assert first.stdout.readline() == "held\n"
    with (
        pytest.raises(
            OperatorError,
            match=rf"Another command is using {root.path} \(process {first.pid}\)",
        ),
        root.exclusive(),
    ):
        pass
    first.kill()
    first.communicate()
    with root.exclusive():
        pass


def test_a_relative_path_is_stored_as_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valkey starts in the root directory, so it cannot find a relative path to its data."""
    monkeypatch.chdir(tmp_path)
    assert Root(Path("root")).path == tmp_path.resolve() / "root"


def test_directory_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        OperatorError, match=r"is not writable \(.+\): choose another directory with --root$"
    ):
        Root(tmp_path / "file/root").prepare()


def test_directory_without_write_permission_is_reported(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "os.access", lambda *_: False
    )  # the user root can write even to read-only directories
    with pytest.raises(
        OperatorError, match="is not writable: choose another directory with --root$"
    ):
        root.prepare()


def test_full_disk_is_reported(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**29))
    with pytest.raises(OperatorError, match=r"has 0\.5 GiB free, but the platform needs 2 GiB"):
        root.prepare()


def test_new_or_empty_directory_is_marked_as_the_platforms(root: Root, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = Root(tmp_path / "empty")
    empty.prepare()
    for own in (root, empty):
        (own.path / "data").touch()
        own.prepare()
        own.check_ownership()


def test_directory_with_other_files_is_not_marked(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    foreign = Root(tmp_path)
    foreign.prepare()
    with pytest.raises(OperatorError, match="was not created by the platform"):
        foreign.check_ownership()


def test_json_file_is_written_atomically(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_missing_or_invalid_json_file_is_read_as_none(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"a": ')
    assert read_json(tmp_path / "half.json") is None
    assert read_json(tmp_path / "missing.json") is None
