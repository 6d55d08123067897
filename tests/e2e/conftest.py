"""Fixtures of the end-to-end tests: one platform, its API, and users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cloud import ROLE_VARIABLE, connect
from ops.embedded import EmbeddedCloud
from ops.embedded.ports import LOOPBACK, choose_port
from ops.root import PROJECT, Root
from tests.e2e.operators import CREATION, DEPLOY, TAGGED, UNRESOURCED, EmptyCloud, operator
from tests.e2e.support import Api, Inbox, Person, Platform, run_ops
from tests.lambdas.ai.servers import MODEL

HERE = Path(__file__).parent
LAST = ("test_recovery.py", "test_removal.py")
"""Modules that run last: the first kills and repairs the platform, the second removes it."""
TIMEOUT = 900
"""Seconds. The first test waits until the platform has started."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder as e2e, and moves the modules of LAST to the end."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(TIMEOUT))
    items.sort(key=lambda item: item.path.name in LAST)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Starts the `local` platform once in a separate directory, and always stops it at the end.

    If PLATFORM_ROOT is the working directory (root) of a running platform, uses that platform,
    leaves it running, and skips tests that kill or restart parts of it. For example,
    `PLATFORM_ROOT=.local pytest tests/e2e -k sessions` takes seconds.
    """
    given = os.environ.get("PLATFORM_ROOT")
    if given:
        yield Platform.of(Path(given).resolve(), own=False)
        return
    _choose_providers()
    # PostgreSQL's system user cannot read pytest's own temporary directory.
    root = Path(tempfile.mkdtemp(prefix="multitask-"))
    command = [
        sys.executable,
        "-m",
        "tests.e2e.keeper",
        str(root),
        str(tmp_path_factory.mktemp("logs")),
    ]
    # The new session protects the clean-up from Ctrl-C, which ends the tests and `up`.
    keeper = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, start_new_session=True)
    try:
        _first_deployment(root)
        yield Platform.of(root, own=True)
    finally:
        keeper.communicate()


def _first_deployment(root: Path) -> None:
    """Deploys the platform to an empty account, with only the policies of docs/policies/.

    This proves that these policies suffice. Later updates use the root key.
    """
    directory = Root(root)
    directory.prepare()
    EmbeddedCloud(directory).start()
    empty = EmptyCloud(connect("local", directory))
    policies = ("bootstrap", "operator", *DEPLOY, "administer-identity")
    more = [*UNRESOURCED, *TAGGED, *CREATION]
    with operator(empty, "first-operator", policies, more=more) as role:
        run_ops(root, "up", "--json", variables={ROLE_VARIABLE: role})


def _choose_providers() -> None:
    """Points the ai service to local ports, where test_ai starts servers, and hides real API keys.

    Sets variables of this process, so that all commands of these tests use the same values.
    """
    gemini = choose_port()
    os.environ.update(
        GEMINI_BASE_URL=f"http://{LOOPBACK}:{gemini}/v1beta",
        OPENAI_BASE_URL=f"http://{LOOPBACK}:{choose_port([gemini])}/v1",
        GEMINI_MODEL=MODEL,
        OPENAI_MODEL=MODEL,
        OPENAI_REASONING_EFFORT="",
        GEMINI_API_KEY="",
        OPENAI_API_KEY="",
    )


@pytest.fixture
def own_platform(platform: Platform) -> Platform:
    """Returns the platform for tests that break it. Skips these tests if PLATFORM_ROOT is set."""
    if not platform.own:
        pytest.skip("this test would break the platform of PLATFORM_ROOT")
    return platform


@pytest.fixture
def api(platform: Platform) -> Api:
    """Returns the REST API after a reset of the rate limits, which all tests share."""
    platform.forget_attempts()
    return Api(platform.api_url)


@pytest.fixture
def person(platform: Platform, api: Api) -> Person:
    """Returns a user who has registered, confirmed and signed in."""
    return Person.signed_in(platform, api)


@pytest.fixture
def other(platform: Platform, api: Api) -> Person:
    """Returns another signed-in user."""
    return Person.signed_in(platform, api)


@pytest.fixture
def bus(platform: Platform) -> Iterator[Inbox]:
    """Returns an inbox that receives all events published during the test."""
    events, sqs = platform.aws("events"), platform.aws("sqs")
    name = f"test-{uuid.uuid4().hex[:12]}"
    of_bus = {"EventBusName": platform.outputs["event_bus_name"]}
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    events.put_rule(
        Name=name, EventPattern=json.dumps({"source": [{"prefix": "multitask."}]}), **of_bus
    )
    events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": arn}], **of_bus)
    yield Inbox(sqs, url)
    events.remove_targets(Rule=name, Ids=["inbox"], **of_bus)
    events.delete_rule(Name=name, **of_bus)
    sqs.delete_queue(QueueUrl=url)
