"""Fixtures and hooks of all tests.

Tests use the Node.js that `make setup` installed. Tests that share an expensive fixture run on the
same worker.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from ops.terraform.toolchain import node_variables
from tests.e2e.support.host import HOST, PlatformHost
from tests.scopes import E2E, FIRST_SCOPES, find_scope

if TYPE_CHECKING:
    from tests.postgres import Postgres

os.environ.setdefault("JSII_NODE", node_variables()["JSII_NODE"])
# With GOGC=400, Terraform and its provider collect garbage less often, which saves 16 % of their
# CPU time.
os.environ.setdefault("GOGC", "400")
# Hypothesis fails a test case that takes more than 200 ms, which can happen on a busy machine.
settings.register_profile("without deadline", settings(), deadline=None)
settings.load_profile("without deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Chooses the directory of the end-to-end tests' platform, in the main process.

    A worker of pytest-xdist uses the directory that the main process sends. The main process starts
    and stops the platform for all workers.
    """
    received = getattr(config, "workerinput", {}).get("platform")
    config.stash[HOST] = (
        PlatformHost.from_description(received) if received else PlatformHost.choose()
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[HOST].stop()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Sends the directory of the platform to a worker of pytest-xdist."""
    node.workerinput["platform"] = node.config.stash[HOST].description


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects tests marked `nightly` unless -m contains that marker.

    Sorts the tests by scope: first FIRST_SCOPES, then the scopes with the most tests.
    """
    if "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        if nightly:
            config.hook.pytest_deselected(items=nightly)
            items[:] = [item for item in items if item not in nightly]
    sizes = Counter(find_scope(item.nodeid) for item in items)

    def get_position(item: pytest.Item) -> tuple[int, int]:
        scope = find_scope(item.nodeid)
        return (
            FIRST_SCOPES.index(scope) if scope in FIRST_SCOPES else len(FIRST_SCOPES),
            -sizes[scope],
        )

    items.sort(key=get_position)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts the platform if this process runs the tests itself, without workers."""
    if not hasattr(session.config, "workerinput"):
        start_platform(session.config, [item.nodeid for item in session.items])


def start_platform(config: pytest.Config, nodeids: Iterable[str]) -> None:
    """Starts the platform in the background if one of the tests needs it."""
    is_needed = any(nodeid.startswith(E2E) for nodeid in nodeids)
    if is_needed and not config.option.collectonly and "PLATFORM_ROOT" not in os.environ:
        config.stash[HOST].start()


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist's schedulers are untyped
    """Runs each scope (see `find_scope`) on one worker, in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return find_scope(nodeid)

    def schedule(self) -> None:
        is_first_call = self.collection is None
        super().schedule()
        if is_first_call:
            start_platform(self.config, self.collection or ())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Returns the scheduler that distributes the tests to the workers.

    If this run includes all tests, starts the platform here, before the workers collect the tests.
    Otherwise, `Scheduling` starts it after the collection, if a collected test needs it.
    """
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if is_whole and not (config.option.keyword or config.option.markexpr):
        start_platform(config, [E2E])
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Starts a PostgreSQL server once per xdist worker. Each test creates its own databases."""
    from tests.postgres import running

    with running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """Yields the name of a database with the platform's schema and no data. Tests copy it."""
    from tests.postgres import migrate

    with postgres.database() as name:
        migrate(postgres, name)
        yield name
