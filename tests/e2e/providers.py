"""Language models for the applied platform, played on the ports that its ai service calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from ops.embedded.ports import LOOPBACK
from tests.e2e.support import Platform
from tests.lambdas.ai.servers import MODEL, FakeProvider

CIRCUITS = {"user_id": {"S": "#circuits"}, "day": {"S": "#"}}
"""The item of the usage table that holds the providers' circuits."""


def configuration(platform: Platform) -> dict[str, Any]:
    """The ai function's, as it serves. Skips the test where its providers are not this machine's."""
    found: dict[str, Any] = platform.aws("lambda").get_function_configuration(
        FunctionName="ai-lambda-local", Qualifier="live"
    )
    variables = found["Environment"]["Variables"]
    for name in ("GEMINI_BASE_URL", "OPENAI_BASE_URL"):
        if urlsplit(variables[name]).hostname != LOOPBACK or variables["GEMINI_MODEL"] != MODEL:
            pytest.skip(
                f"PLATFORM_ROOT's platform calls {variables[name]}: start it with GEMINI_BASE_URL=http://127.0.0.1:PORT/v1beta"
                f" OPENAI_BASE_URL=http://127.0.0.1:PORT/v1 GEMINI_MODEL={MODEL} OPENAI_MODEL={MODEL}"
            )
    return found


@contextmanager
def playing(platform: Platform) -> Iterator[tuple[FakeProvider, FakeProvider]]:
    """Gemini and OpenAI, until the end; every request has to be one that they take."""
    variables = configuration(platform)["Environment"]["Variables"]

    def provider(kind: str) -> FakeProvider:
        return FakeProvider(kind, port=urlsplit(variables[f"{kind.upper()}_BASE_URL"]).port or 0)

    with provider("gemini") as gemini, provider("openai") as openai:
        yield gemini, openai
        assert (gemini.violations, openai.violations) == ([], [])
