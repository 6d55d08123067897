"""What all tests share: jsii runs on the checkout's own Node, and what makes something costly once runs on one worker."""

from __future__ import annotations

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from ops.toolchain import node_variables

TOGETHER = ("tests/e2e/", "tests/stack/")
"""Folders whose tests share one platform, and one synthesis."""

os.environ.setdefault("JSII_NODE", node_variables()["JSII_NODE"])


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist's schedulers are untyped
    """Hands out folders and files. xdist's own groups (3.8) have no effect under pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)
