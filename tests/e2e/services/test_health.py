"""Tests GET /health."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from lambdas.health.checks import MAX_AGE
from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.platform import Platform
from tests.waiting import wait_for

CHECKS = {"dynamodb": "ok", "database": "ok", "cache": "ok"}
RESPONSE_LIMIT = 2.0
"""Seconds. The API contract's limit for a response, even if a dependency hangs."""


def test_health_returns_the_checks_and_the_environment(platform: Platform, api: Api) -> None:
    response = api.get("/health")
    document = response.expect(200)
    assert document.pop("version")
    assert document == {"status": "ok", "stage": "local", "checks": CHECKS}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_rejected_with_405(api: Api, method: str) -> None:
    response = api.call(method, "/health")
    response.expect_problem(405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "OPTIONS"}


@pytest.mark.exclusive
def test_hanging_dependencies_are_reported_within_the_limit(platform: Platform, api: Api) -> None:
    hanging = {"cache", "database"}
    running = EmbeddedCloud(Root(platform.root)).running()
    for name in hanging:
        os.kill(running[name].pid, signal.SIGSTOP)
    try:
        # The function caches results for a few seconds. The first result that reports the hanging
        # services is not a cached one, so `duration` includes the checks.
        response, duration = wait_for(
            lambda: result if list_failing((result := measure(api))[0].json) == hanging else None
        )
    finally:
        for name in hanging:
            os.kill(running[name].pid, signal.SIGCONT)
    document = response.expect_problem(503, "unhealthy")
    assert document["checks"]["dynamodb"] == "ok"
    assert {error["field"]: error["message"] for error in document["errors"]} == {
        name: document["checks"][name] for name in hanging
    }
    assert duration < RESPONSE_LIMIT
    assert wait_for(lambda: api.get("/health").status == 200)
    time.sleep(MAX_AGE)  # wait until the cached results have expired


def measure(api: Api) -> tuple[ApiResponse, float]:
    """Returns the response and its duration in seconds."""
    begun = time.monotonic()
    return api.get("/health"), time.monotonic() - begun


def list_failing(document: dict[str, Any]) -> set[str]:
    """Returns the checks whose result is not ok."""
    return {name for name, result in document["checks"].items() if result != "ok"}
