"""Tests that the files of a running platform can be read while it deletes some of them."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from tests.e2e.support.files import read_files


def test_files_and_folders_that_are_deleted_during_the_walk_are_skipped(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"worker-{number}" / "code").mkdir(parents=True)
        (tmp_path / f"worker-{number}" / "code" / "handler.py").write_text("pass")
        (tmp_path / f"{number}.log").write_text("started")
    (tmp_path / "broken").symlink_to("missing")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        files = read_files(tmp_path)
        first, content = next(files)
        assert content == b"started"
        for number in range(3):
            shutil.rmtree(tmp_path / f"worker-{number}")
            if first.name != f"{number}.log":
                (tmp_path / f"{number}.log").unlink()
        assert list(files) == []


def test_plugins_of_terraform_are_not_read(tmp_path: Path) -> None:
    (tmp_path / ".terraform" / "providers").mkdir(parents=True)
    (tmp_path / ".terraform" / "providers" / "aws").write_bytes(b"\0")
    (tmp_path / "cdk.tf.json").write_text("{}")
    assert list(read_files(tmp_path)) == [(tmp_path / "cdk.tf.json", b"{}")]
