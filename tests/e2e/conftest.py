"""Fixtures of the end-to-end tests: one platform, its API, and users."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from ops.root import Root
from tests.e2e.support.api_client import Api
from tests.e2e.support.host import HOST
from tests.e2e.support.inbox import Inbox, subscribe_to_bus
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.scopes import USAGE, find_scope

HERE = Path(__file__).parent
RUN_FIRST = ("test_plan.py",)
"""Test modules that run first, because they need a platform that was applied only once."""
RUN_LAST = ("test_recovery.py", "test_removal.py")
"""Modules that run alone and last. The first kills and repairs the platform, the second removes it.
"""
TIMEOUT = 900
"""Seconds that a test may take. The first test also waits until the platform has started."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder as e2e, and orders them by RUN_FIRST and RUN_LAST."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(TIMEOUT))
        if item.path.name in RUN_LAST:
            item.add_marker(pytest.mark.exclusive)
    items.sort(key=lambda item: (item.path.name in RUN_LAST) - (item.path.name in RUN_FIRST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Lets tests on several workers use the platform at the same time. A test that is marked
    `exclusive` uses the platform alone.
    """
    if not item.path.is_relative_to(HERE):  # pytest calls this hook for the tests of all folders
        return (yield)
    sharing, scope = item.config.stash[HOST].sharing, find_scope(item.nodeid)
    if item.path.name in RUN_LAST and USAGE in {
        find_scope(other.nodeid) for other in item.session.items
    }:
        sharing.wait_for_end(USAGE, TIMEOUT)
    with sharing.hold(exclusive=item.get_closest_marker("exclusive") is not None):
        result = yield
    if nextitem is None or find_scope(nextitem.nodeid) != scope:
        sharing.report_end(scope)
    return result


@pytest.fixture(scope="session")
def platform(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Returns the `local` platform that this run has started in a separate directory.

    If PLATFORM_ROOT is the working directory (root) of a running platform, uses that platform,
    leaves it running, and skips tests that kill or restart parts of it. For example,
    `PLATFORM_ROOT=.local pytest tests/e2e -k sessions` takes seconds.
    """
    running_root = os.environ.get("PLATFORM_ROOT")
    if running_root:
        yield Platform.load(Path(running_root).resolve(), is_own=False)
        return
    host = pytestconfig.stash[HOST]
    host.wait_until_deployed()
    yield Platform.load(host.root, is_own=True)
    shutil.copytree(Root(host.root).logs, tmp_path_factory.mktemp("logs"), dirs_exist_ok=True)


@pytest.fixture
def own_platform(platform: Platform) -> Platform:
    """Returns the platform for tests that break it. Skips these tests if PLATFORM_ROOT is set."""
    if not platform.is_own:
        pytest.skip("this test would break the platform of PLATFORM_ROOT")
    return platform


@pytest.fixture
def api(platform: Platform) -> Api:
    """Returns a client of the REST API. Resets the rate limits, because all tests share them."""
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
