"""Calls the route of the health function."""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.scenarios.context import ScenarioContext


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    # A running process of the function would return cached results of its checks.
    context.restart_function()
    context.api.get("/health").expect(200)
    yield "GET /health"
