"""Synthesizes every environment once for all tests of this folder, which run on one worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.stacks import synthesize


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder that contains one folder for each stack."""
    return synthesize(tmp_path_factory.mktemp("synthesized"))
