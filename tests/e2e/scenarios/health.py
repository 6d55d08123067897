"""Calls the route of the health function."""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.scenarios.context import ScenarioContext


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    context.restart_function()  # ends the processes that have cached the result
    context.api.get("/health").expect(200)
    yield "GET /health"
