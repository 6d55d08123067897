"""Tests how a killed PostgreSQL's lock file is removed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.embedded.processes import Processes
from ops.embedded.services import Database
from ops.root import Root


@pytest.fixture
def database(tmp_path: Path) -> Database:
    (tmp_path / "database").mkdir()
    return Database(Root(tmp_path), Processes(Root(tmp_path)))


def write_lock(database: Database, pid: int) -> Path:
    lock = database.data / "postmaster.pid"
    lock.write_text(f"{pid}\n{database.data}\n")
    return lock


def test_the_lock_of_a_zombie_is_deleted_after_the_timeout(database: Database) -> None:
    # The process becomes a zombie, because the test waits for it only at the end.
    child = subprocess.Popen([sys.executable, "-c", ""])
    time.sleep(1)
    lock = write_lock(database, child.pid)
    database._remove_zombie_lock(timeout=0.2)
    assert not lock.exists()
    child.wait()


def test_the_lock_of_a_running_server_is_kept(database: Database) -> None:
    lock = write_lock(database, os.getpid())
    database._remove_zombie_lock(timeout=0.2)
    assert lock.exists()


@pytest.mark.parametrize("content", ["", "no number", "999999999"])
def test_a_lock_that_names_no_process_is_kept(database: Database, content: str) -> None:
    lock = database.data / "postmaster.pid"
    lock.write_text(content)
    database._remove_zombie_lock(timeout=0.2)
    assert lock.exists()
