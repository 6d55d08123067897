"""Tests `ops console dev` with the caller's credentials, on moto's server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from ops.root import PROJECT, Root
from tests.ops.conftest import VARIABLES
from tests.ops.web_console.conftest import is_serving
from tests.stack.emulators.moto_server import running_moto
from tests.waiting import wait_for

ACCOUNT = VARIABLES["DEV_ACCOUNT_ID"]
OTHER_ACCOUNT = "999999999999"


@pytest.fixture(scope="module")
def credentials(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """Yields environment variables with the credentials of a caller in an AWS account."""
    log = tmp_path_factory.mktemp("moto") / "log"
    with running_moto(request.param, log) as variables:
        yield {**os.environ, **VARIABLES, **variables}


@contextmanager
def running_console(
    root: Root, credentials: Mapping[str, str], *options: str
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ops", "console", "dev", *options, "--root", str(root.path)]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=dict(credentials),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def request(address: str, method: str, path: str) -> Any:
    """Sends a request like a page of the console, and returns the JSON response."""
    port, token = urlsplit(address).port, address.partition("token=")[2]
    origin = f"http://127.0.0.1:{port}"
    headers = {"Cookie": f"console-{port}={token}", "Origin": origin}
    body = {"queue": "relay-retries"} if method == "POST" else None
    return urllib3.request(method, f"{origin}/api/{path}", headers=headers, json=body).json()


@pytest.mark.parametrize("credentials", [ACCOUNT], indirect=True)
@pytest.mark.parametrize("options", [(), ("--write",)])
def test_the_console_can_change_dev_only_if_the_write_option_is_given(
    root: Root, credentials: Mapping[str, str], options: tuple[str, ...]
) -> None:
    with running_console(root, credentials, *options) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        wait_for(lambda: is_serving(address), seconds=60)
        status = request(address, "GET", "status")
        assert (status["environment"], status["problem"]) == ("dev", None)
        assert status["mayWrite"] is bool(options)
        response = request(address, "POST", "redrive")
        assert "question" in response if options else "--write" in response["problem"]


@pytest.mark.parametrize("credentials", [OTHER_ACCOUNT], indirect=True)
def test_the_console_does_not_start_with_credentials_of_another_account(
    root: Root, credentials: Mapping[str, str]
) -> None:
    with running_console(root, credentials) as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert f"belong to account {OTHER_ACCOUNT}, but dev allows only {ACCOUNT}" in errors
