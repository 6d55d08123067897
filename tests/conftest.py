"""Fixtures and hooks of all tests.

Tests use the checkout's Node. Tests that share an expensive fixture run on one worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from ops.terraform.toolchain import node_variables

if TYPE_CHECKING:
    from tests.postgres import Postgres

TOGETHER = ("tests/e2e/", "tests/stack/")
"""Folders whose tests share one platform or one synthesis."""

os.environ.setdefault("JSII_NODE", node_variables()["JSII_NODE"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects tests marked `nightly`, unless the option -m contains that marker."""
    if "nightly" in config.option.markexpr:
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    if nightly:
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist's schedulers are untyped
    """Runs each file, or each folder of TOGETHER, on one worker. Replaces xdist's groups."""

    def _split_scope(self, nodeid: str) -> str:
        return next(
            (folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0]
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Starts a PostgreSQL server once per xdist worker. Each test creates its own databases."""
    from tests.postgres import running

    with running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """Returns an empty database with the platform's schema, for use as a template only."""
    from tests.postgres import migrate

    with postgres.database() as name:
        migrate(postgres, name)
        yield name
