"""Fixtures of the fuzz tests: the callers, and fake language models that always respond."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.env_file import KEYS
from ops.upkeep.secrets import Secrets
from tests.e2e.fuzz.sockets import Sockets
from tests.e2e.fuzz.world import World
from tests.e2e.scenarios.context import ScenarioContext
from tests.e2e.support.ai_providers import run_fake_providers
from tests.e2e.support.platform import Platform
from tests.lambdas.ai.servers import KEY, send_text

COMPLETION = (
    '{"flagged": false, "categories": {}, "translation": "Bonjour", "sourceLanguage": "en"}'
)
"""A completion that all operations of the ai service accept."""


@pytest.fixture(scope="package")
def world(platform: Platform) -> Iterator[World]:
    with run_fake_providers(platform) as providers:
        for provider in providers:
            provider.behaviours = [send_text(COMPLETION)]
        for name in KEYS:
            Secrets(platform.cloud).store(name, KEY)
        ScenarioContext(
            platform,
            "ai",
            # For some seconds, the function caches that the keys are missing. A restart clears this
            # cache.
        ).restart_function()
        yield World(platform)
        for provider in providers:
            provider.violations.clear()
    for name in KEYS:
        Secrets(platform.cloud).clear(name)


@pytest.fixture(scope="package")
def sockets(world: World) -> Sockets:
    return Sockets(world)
