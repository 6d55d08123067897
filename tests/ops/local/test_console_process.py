"""Tests how the console's process starts and stops while no platform is running."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import urllib3

from ops.embedded import EmbeddedCloud
from ops.embedded.processes import Processes
from ops.local.console_process import (
    CONSOLE,
    ConsoleAddress,
    console_address,
    start_console,
    stop_console,
)
from ops.local.status import read_status
from ops.root import Root
from tests.waiting import wait_for


@pytest.fixture
def started(root: Root) -> Iterator[ConsoleAddress]:
    yield start_console(root)
    stop_console(root)


def load(url: str, **headers: str) -> urllib3.BaseHTTPResponse | None:
    """Returns the response to a GET request, or None while no server listens."""
    try:
        return urllib3.request("GET", url, headers=headers, retries=False, timeout=10)
    except urllib3.exceptions.HTTPError:
        return None


def test_a_console_without_a_platform_reports_what_is_not_running(
    root: Root, started: ConsoleAddress
) -> None:
    page = wait_for(lambda: load(str(started)))
    assert page.status == 200
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    api = f"http://127.0.0.1:{started.port}/api"
    status = wait_for(lambda: load(f"{api}/status", Cookie=cookie)).json()
    assert {part["name"]: part["running"] for part in status["parts"]} == dict.fromkeys(
        ("cache", "database", "aws", "database-proxy", "cache-proxy"), False
    )
    assert "`make up`" in status["problem"]
    tables = wait_for(lambda: load(f"{api}/tables", Cookie=cookie))
    assert tables.status == 502
    assert "not running" in tables.json()["problem"]


def test_a_restart_keeps_port_and_token_and_replaces_the_process(
    root: Root, started: ConsoleAddress
) -> None:
    before = Processes(root).get(CONSOLE)
    assert before
    assert console_address(root) == started
    assert start_console(root) == started
    after = Processes(root).get(CONSOLE)
    assert after
    assert before.find() is None
    assert after.find()


def test_a_killed_console_is_shown_as_not_running_and_can_be_started_again(
    root: Root, started: ConsoleAddress
) -> None:
    process = Processes(root).get(CONSOLE)
    assert process
    assert shown_console(root)["running"]
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not shown_console(root)["running"])
    assert start_console(root) == started
    assert shown_console(root)["running"]


def shown_console(root: Root) -> dict[str, Any]:
    """Returns what `ops status` shows about the console."""
    return next(item for item in read_status("local", root)["processes"] if item["name"] == CONSOLE)


def test_the_embedded_cloud_neither_lists_nor_stops_the_console(
    root: Root, started: ConsoleAddress
) -> None:
    cloud = EmbeddedCloud(root)
    assert cloud.running() == {}
    assert cloud.stop() == []
    assert console_address(root) == started
    assert stop_console(root)
    assert console_address(root) is None
    assert not stop_console(root)


def test_the_console_inherits_no_credentials(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "OPERATOR_ROLE_ARN", "PYTHONPATH"):
        monkeypatch.setenv(name, "of-the-operator")
    start_console(root)
    process = Processes(root).get(CONSOLE)
    assert process
    running = process.find()
    assert running
    variables = json.dumps(psutil.Process(running.pid).environ())
    stop_console(root)
    assert "of-the-operator" not in variables
