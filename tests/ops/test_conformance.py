"""Tests that the conformance checks report where moto differs from AWS."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ops.conformance.checks import CHECKS
from ops.conformance.run import run_checks
from ops.errors import OperatorError
from ops.root import PROJECT


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Starts moto's server and returns its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def test_differences_of_moto_are_reported_and_created_resources_deleted(moto: str) -> None:
    session = boto3.Session("test", "test")
    results = run_checks(moto, session, ["s3", "sqs", "sts", "xray"])
    failed = {(result.service, result.name) for result in results if result.error}
    assert failed == {
        ("sts", "A role without permissions may not read a bucket"),
        ("xray", "A group of traces is stored"),
    }
    assert len(results) > 12
    s3 = session.client("s3", endpoint_url=moto, region_name="us-east-1")
    assert s3.list_buckets()["Buckets"] == []


def test_the_command_exits_with_status_1_if_a_check_fails(moto: str) -> None:
    command = [sys.executable, "-m", "ops", "conformance", "--endpoint", moto, "--json"]
    result = subprocess.run(
        [*command, "--service", "xray"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    [entry] = json.loads(result.stdout)
    assert entry["service"] == "xray"
    assert entry["error"].startswith("ClientError: ")
    assert "0 of 1 checks passed" in result.stderr


def test_services_without_checks_are_rejected() -> None:
    with pytest.raises(OperatorError, match="no checks of s4: choose from .*, s3, "):
        run_checks("http://127.0.0.1:1", boto3.Session("test", "test"), ["s4"])


def test_names_of_checks_are_unique_sentences() -> None:
    names = [item.name for item in CHECKS]
    assert len(names) == len(set(names)) > 60
    assert all(name[0].isupper() and not name.endswith(".") for name in names)
