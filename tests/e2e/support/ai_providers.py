"""Fake language models on the ports that the platform's ai service calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from ops.embedded.ports import LOOPBACK
from tests.e2e.support.platform import Platform
from tests.lambdas.ai.servers import MODEL, FakeProvider

CIRCUITS_KEY = {"user_id": {"S": "#circuits"}, "day": {"S": "#"}}
"""The key of the item in the usage table that stores the circuit breakers of the providers."""


def read_configuration(platform: Platform) -> dict[str, Any]:
    """Returns the ai function's configuration.

    Skips the test if the function does not call local providers, or uses another Gemini model.
    """
    configuration: dict[str, Any] = platform.aws("lambda").get_function_configuration(
        FunctionName="ai-lambda-local", Qualifier="live"
    )
    variables = configuration["Environment"]["Variables"]
    for name in ("GEMINI_BASE_URL", "OPENAI_BASE_URL"):
        if urlsplit(variables[name]).hostname != LOOPBACK or variables["GEMINI_MODEL"] != MODEL:
            pytest.skip(
                f"The platform of PLATFORM_ROOT calls {variables[name]}: start it with"
                " GEMINI_BASE_URL=http://127.0.0.1:PORT/v1beta"
                " OPENAI_BASE_URL=http://127.0.0.1:PORT/v1"
                f" GEMINI_MODEL={MODEL} OPENAI_MODEL={MODEL}"
            )
    return configuration


@contextmanager
def run_fake_providers(platform: Platform) -> Iterator[tuple[FakeProvider, FakeProvider]]:
    """Runs a fake Gemini and a fake OpenAI. Fails the test if one receives an invalid request."""
    variables = read_configuration(platform)["Environment"]["Variables"]

    def create_provider(kind: str) -> FakeProvider:
        return FakeProvider(kind, port=urlsplit(variables[f"{kind.upper()}_BASE_URL"]).port or 0)

    with create_provider("gemini") as gemini, create_provider("openai") as openai:
        yield gemini, openai
        assert (gemini.violations, openai.violations) == ([], [])
