"""Tests how an interrupted first initialization of PostgreSQL is repaired."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ops.embedded.ports import choose_port
from ops.embedded.processes import Processes
from ops.embedded.services import Database
from ops.errors import OperatorError
from ops.root import PROJECT, Root
from tests.waiting import wait_for

INITIALIZE = """
import sys
from pathlib import Path
from ops.embedded.processes import Processes
from ops.embedded.services import Database
from ops.root import Root
root = Root(Path(sys.argv[1]))
database = Database(root, Processes(root))
database._initialize(database._user())
"""


@pytest.fixture
def database_root() -> Iterator[Root]:
    # PostgreSQL's system user cannot read pytest's temporary directory.
    root = Root(Path(tempfile.mkdtemp(prefix="multitask-")))
    root.prepare()
    yield root
    shutil.rmtree(root.path, ignore_errors=True)


def unfinished_files(root: Root) -> list[Path]:
    return list(root.path.glob("database-unfinished-*"))


@pytest.mark.parametrize("kills_initdb", [True, False])
@pytest.mark.parametrize("created_file", ["PG_VERSION", "global/pg_control"])
def test_a_killed_initialization_is_repeated(
    database_root: Root, created_file: str, kills_initdb: bool
) -> None:
    command = subprocess.Popen([sys.executable, "-c", INITIALIZE, database_root.path], cwd=PROJECT)
    wait_for(
        lambda: [
            path for path in unfinished_files(database_root) if (path / created_file).exists()
        ],
        seconds=30,
        interval=0.01,
    )
    killed = psutil.Process(command.pid)
    for process in [killed, *(killed.children(recursive=True) if kills_initdb else [])]:
        # initdb's children run only for milliseconds, so some have ended already.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    command.wait()

    processes = Processes(database_root)
    database = Database(database_root, processes)
    assert not database.data.exists()
    port = choose_port()
    started = database.start(port)
    try:
        wait_for(lambda: database.is_ready(port), seconds=30)
        database.prepare(port)
        if kills_initdb:
            assert unfinished_files(database_root) == []
    finally:
        processes.stop(started, database.stop_signal)


def test_a_failed_initialization_reports_the_reason(database_root: Root) -> None:
    database = Database(database_root, Processes(database_root))
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        with pytest.raises(OperatorError, match="could not be initialized: .*root"):
            database._initialize(None)
