"""Every environment synthesized once, for all of these tests; they run on one worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.stacks import synthesize

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before the workers read the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with one folder for each environment's stack, as the program writes it where no variable is set."""
    return synthesize(tmp_path_factory.mktemp("synthesized"))
