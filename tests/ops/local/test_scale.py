"""Starts the platform on this machine with the sizes of environments/examples/scale.yml."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from environments import load_environment
from ops.root import PROJECT, Root
from tests.e2e.operations.test_plan import assert_no_differences
from tests.e2e.support.api_client import Api
from tests.e2e.support.chat_users import ChatUser, open_connections
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.e2e.support.trust import without_trust
from tests.e2e.support.users import Person
from tests.terraform import plan

SCALE = load_environment("scale")
SERVICES = (
    "tests/e2e/auth/test_sessions.py",
    "tests/e2e/auth/test_tokens.py",
    "tests/e2e/services/test_chat.py",
    "tests/e2e/services/test_posts.py",
    "tests/e2e/services/test_statistics.py",
)
"""The end-to-end tests of the services for which scale.yml has other settings than prod.yml."""


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_every_service_works_with_the_sizes_of_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_LIKE", "scale")
    # PostgreSQL's system user cannot read pytest's temporary directory.
    root = Path(tempfile.mkdtemp(prefix="multitask-")) / "root"
    try:
        run_ops(root, "up")
        platform = Platform.load(root, is_own=True)
        _check_settings(platform)
        _check_clients(platform)
        checks = json.loads(run_ops(root, "smoke", "local", "--json"))
        assert [check for check in checks if not check["ok"]] == []
        # The tests that follow publish versions, so a later plan has differences.
        variables = platform.cloud.variables
        assert_no_differences(plan(platform.stack_directory, Root(root), variables=variables)[0])
        _run_tests(root)
    finally:
        run_ops(root, "down", "--purge")
        root.parent.rmdir()


def _check_settings(platform: Platform) -> None:
    """Checks that the functions and the queue received the settings."""
    functions = platform.aws("lambda")

    def variables(service: str) -> Any:
        name = platform.outputs["functions"][service]
        return functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    chat = variables("chat")
    assert chat["ROOM_PARTS"] == variables("delivery")["ROOM_PARTS"] == str(SCALE.chat.room_parts)
    assert chat["SIGNAL_LIMIT"] == str(SCALE.chat.signal_limit)
    assert variables("auth")["ACCOUNT_SECONDS"] == str(SCALE.auth.account_seconds)
    assert variables("post")["TIMELINE_SHARDS"] == str(SCALE.dynamodb.timeline_shards)
    sqs = platform.aws("sqs")
    url = chat["DELIVERIES_QUEUE_URL"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["FifoThroughputLimit"] == "perMessageGroupId"
    assert attributes["DeduplicationScope"] == "messageGroup"


def _check_clients(platform: Platform) -> None:
    """Checks the effects on clients: the reconnection time, and the limit of signals."""
    platform.reset_rate_limits()
    api = Api(platform.api_url)
    ann, bob = (ChatUser(platform, Person.sign_up(platform, api)) for _ in range(2))
    ticket = ann.call("POST", "/tickets", {}).expect(201)
    assert ticket["reconnectSeconds"] == SCALE.chat.reconnect_seconds
    session = platform.aws("dynamodb").get_item(
        TableName="auth-sessions-local", Key={"session_id": {"S": ann.person.session_id}}
    )["Item"]
    assert session["account"]["M"]["email"] == {"S": ann.person.email}

    async def scenario(connections: int) -> int:
        """Returns how many connections in a room receive the signal that somebody is typing."""
        room = ann.create_room()
        ann.invite(room, bob)
        clients = await open_connections([ann, bob], room, connections)
        await clients[0].request("typing_start", roomId=room)
        await clients[0].send(room, "Hello")
        async with asyncio.timeout(60):
            while not all(client.messages[room] for client in clients):
                await asyncio.sleep(0.02)
        for client in clients:
            await client.close()
        return sum(any(frame["type"] == "typing" for frame in client.signals) for client in clients)

    limit = SCALE.chat.signal_limit
    assert asyncio.run(scenario(limit)) > 0
    assert asyncio.run(scenario(limit + 2)) == 0


def _run_tests(root: Path) -> None:
    """Runs the end-to-end tests of the services, including those with 500 connections in a room."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "-m", "nightly or not nightly", *SERVICES],
        cwd=PROJECT,
        env={**without_trust(), "PLATFORM_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-5000:]
