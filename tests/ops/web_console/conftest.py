"""Fixtures: the console of the environment dev, on moto (an AWS emulator)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest
import urllib3
from moto import mock_aws

from environments import load_environment
from ops.cloud import Cloud
from ops.embedded.ports import choose_port
from ops.errors import OperatorError
from ops.root import PROJECT, Root
from ops.web_console.app import create_app
from ops.web_console.source import Source
from tests.ops.clouds import FakeCloud, store_state
from tests.ops.conftest import VARIABLES
from tests.ops.web_console.client import PORT, TOKEN, ConsoleClient
from tests.waiting import wait_for

OUTPUTS: dict[str, Any] = {
    "functions": {"chat": "chat-lambda-dev"},
    "log_groups": {"chat": "/aws/lambda/chat-lambda-dev"},
    "roles": {"chat": "chat-role-dev"},
    "tables": {
        "chat-messages": "chat-messages-dev",
        "platform-authors": "platform-authors-dev",
        "platform-releases": "platform-releases-dev",
    },
    "queues": {"relay-retries": "relay-retries-dev", "relay-retries-dlq": "relay-retries-dlq-dev"},
    "avatars_bucket": "avatars-dev",
    "state_bucket": "state-dev",
    "event_bus_name": "multitask-events-dev",
}
POLICY = {
    "role": "chat-role-dev",
    "policy": """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Action": ["dynamodb:PutItem", "dynamodb:Query"],
        "Resource": "arn:aws:dynamodb:us-east-1:123456789012:table/chat-messages-dev"}]}""",
}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Yields the environment dev, of which only the Terraform state exists."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        cloud = FakeCloud(load_environment("dev", variables=VARIABLES), {})
        store_state(cloud, OUTPUTS, [("aws_iam_role_policy", POLICY)])
        yield cloud


def open_console(cloud: Cloud, root: Root, *, write: bool = False) -> ConsoleClient:
    source = Source("dev", root, write=write, connect=lambda *_: cloud)
    return ConsoleClient(create_app(source, port=PORT, token=TOKEN))


@pytest.fixture
def console(deployed: Cloud, root: Root) -> ConsoleClient:
    """Returns a read-only console. Read-only is the default on AWS."""
    return open_console(deployed, root)


def refuse_connection(*_: object) -> Cloud:
    raise OperatorError("AWS rejected the current credentials: log in")


def open_unconnected_console(root: Root, *, write: bool = False) -> ConsoleClient:
    """Returns a console whose environment cannot be reached, so that the test needs no AWS."""
    source = Source("dev", root, write=write, connect=refuse_connection)
    return ConsoleClient(create_app(source, port=PORT, token=TOKEN))


def retaining(cloud: Cloud) -> Cloud:
    """Returns the environment with a removal policy that keeps its data."""
    environment = cloud.environment.model_copy(update={"removal_policy": "retain"})
    return replace(cloud, environment=environment)


@pytest.fixture
def console_server(root: Root) -> Iterator[psutil.Process]:
    """Yields the process of `ops console local` once it responds. No platform is running."""
    port = choose_port()
    command = ["-m", "ops", "console", "local", "--port", str(port), "--root", str(root.path)]
    with subprocess.Popen([sys.executable, *command], cwd=PROJECT, stdout=subprocess.PIPE) as child:
        assert child.stdout
        address = child.stdout.readline().decode().strip()
        wait_for(lambda: is_serving(address), seconds=60)
        yield psutil.Process(child.pid)
        child.terminate()


def is_serving(address: str) -> bool:
    try:
        return urllib3.request("GET", address, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
