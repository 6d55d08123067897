"""PostgreSQL's lock file, after its server was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.embedded import services
from ops.embedded.processes import Processes
from ops.embedded.services import Database
from ops.root import Root


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(services, "ZOMBIE_TIMEOUT", 0.2)
    (tmp_path / "database").mkdir()
    return Database(Root(tmp_path), Processes(Root(tmp_path)))


def lock_of(database: Database, pid: int) -> Path:
    lock = database.data / "postmaster.pid"
    lock.write_text(f"{pid}\n{database.data}\n")
    return lock


def test_a_zombies_lock_goes_after_a_while(database: Database) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", ""]
    )  # nobody waits for it until the end of the test
    time.sleep(1)
    lock = lock_of(database, child.pid)
    database._forget_zombie()
    assert not lock.exists()
    child.wait()


def test_a_running_servers_lock_stays(database: Database) -> None:
    lock = lock_of(database, os.getpid())
    database._forget_zombie()
    assert lock.exists()


@pytest.mark.parametrize("content", ["", "no number", "999999999"])
def test_a_lock_of_nobody_is_postgresqls_own_business(database: Database, content: str) -> None:
    lock = database.data / "postmaster.pid"
    lock.write_text(content)
    database._forget_zombie()
    assert lock.exists()
