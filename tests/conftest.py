"""What all tests share: jsii runs on the checkout's own Node, and what makes something costly once runs on one worker."""

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
"""Folders whose tests share one platform, and one synthesis."""

os.environ.setdefault("JSII_NODE", node_variables()["JSII_NODE"])


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist's schedulers are untyped
    """Hands out folders and files. xdist's own groups (3.8) have no effect under pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return next(
            (folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0]
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that runs, started once; each test takes databases of its own."""
    from tests.postgres import running

    with running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """A database with the platform's schema and nothing in it; to be copied, not used."""
    from tests.postgres import migrate

    with postgres.database() as name:
        migrate(postgres, name)
        yield name
