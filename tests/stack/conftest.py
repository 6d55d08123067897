"""Every environment synthesized once, for all of these tests; they run on one worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.stacks import synthesize


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with one folder for each environment's stack, as the program writes it where no variable is set."""
    return synthesize(tmp_path_factory.mktemp("synthesized"))
