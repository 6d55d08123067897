"""Fixtures of the end-to-end tests: one platform, its API, and users."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cloud import ROLE_VARIABLE, connect
from ops.embedded import EmbeddedCloud
from ops.embedded.ports import LOOPBACK, choose_port
from ops.root import PROJECT, Root
from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.inbox import Inbox, subscribe_to_bus
from tests.e2e.support.operators import (
    CREATE_ACTIONS,
    DEPLOY_POLICIES,
    RESOURCE_ACTIONS,
    TAG_ACTIONS,
    EmptyCloud,
    create_operator,
)
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.lambdas.ai.servers import MODEL

HERE = Path(__file__).parent
RUN_FIRST = ("test_plan.py",)
"""Modules that need a platform that was applied only once."""
RUN_LAST = ("test_recovery.py", "test_removal.py")
"""Modules that run last. The first kills and repairs the platform, the second removes it."""
TIMEOUT = 900
"""Seconds. The first test waits until the platform has started."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder as e2e, and orders them by RUN_FIRST and RUN_LAST."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(TIMEOUT))
    items.sort(key=lambda item: (item.path.name in RUN_LAST) - (item.path.name in RUN_FIRST))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Starts the `local` platform once in a separate directory, and always stops it at the end.

    If PLATFORM_ROOT is the working directory (root) of a running platform, uses that platform,
    leaves it running, and skips tests that kill or restart parts of it. For example,
    `PLATFORM_ROOT=.local pytest tests/e2e -k sessions` takes seconds.
    """
    given = os.environ.get("PLATFORM_ROOT")
    if given:
        yield Platform.load(Path(given).resolve(), is_own=False)
        return
    _choose_providers()
    # PostgreSQL's system user cannot read pytest's own temporary directory.
    root = Path(tempfile.mkdtemp(prefix="multitask-"))
    command = [
        sys.executable,
        "-m",
        "tests.e2e.support.stop_at_exit",
        str(root),
        str(tmp_path_factory.mktemp("logs")),
    ]
    # The new session protects the clean-up from Ctrl-C, which ends the tests and `up`.
    stopper = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, start_new_session=True)
    try:
        _deploy_first_time(root)
        yield Platform.load(root, is_own=True)
    finally:
        stopper.communicate()


def _deploy_first_time(root: Path) -> None:
    """Deploys the platform to an empty account, with only the policies of docs/policies/.

    This proves that these policies suffice. Later updates use the root key.
    """
    working_directory = Root(root)
    working_directory.prepare()
    EmbeddedCloud(working_directory).start()
    empty = EmptyCloud(connect("local", working_directory))
    policies = ("bootstrap", "operator", *DEPLOY_POLICIES, "administer-identity")
    extra_actions = [*RESOURCE_ACTIONS, *TAG_ACTIONS, *CREATE_ACTIONS]
    with create_operator(empty, "first-operator", policies, extra_actions=extra_actions) as role:
        run_ops(root, "up", "--json", variables={ROLE_VARIABLE: role})


def _choose_providers() -> None:
    """Points the ai service to local ports for fake providers, and hides real API keys.

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
    if not platform.is_own:
        pytest.skip("this test would break the platform of PLATFORM_ROOT")
    return platform


@pytest.fixture
def api(platform: Platform) -> Api:
    """Returns the REST API after a reset of the rate limits, which all tests share."""
    platform.reset_rate_limits()
    return Api(platform.api_url)


@pytest.fixture
def person(platform: Platform, api: Api) -> Person:
    """Returns a user who has registered, confirmed and signed in."""
    return Person.sign_up(platform, api)


@pytest.fixture
def other(platform: Platform, api: Api) -> Person:
    """Returns another signed-in user."""
    return Person.sign_up(platform, api)


@pytest.fixture
def bus(platform: Platform) -> Iterator[Inbox]:
    """Yields an inbox that receives all events published during the test."""
    with subscribe_to_bus(platform, "multitask.") as inbox:
        yield inbox
