"""GET /health."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from lambdas.health.checks import MAX_AGE
from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.support import Answer, Api, Platform, eventually

CHECKS = {"dynamodb": "ok", "database": "ok", "cache": "ok"}
PROMISE = 2.0
"""Seconds within which the contract promises an answer, also when a dependency hangs."""


def test_it_says_what_works_where(platform: Platform, api: Api) -> None:
    answer = api.get("/health")
    document = answer.expect(200)
    assert document.pop("version")
    assert document == {"status": "ok", "stage": "local", "checks": CHECKS}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_is_only_read(api: Api, method: str) -> None:
    answer = api.call(method, "/health")
    answer.problem(405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "OPTIONS"}


def test_hanging_dependencies_are_named_in_time(platform: Platform, api: Api) -> None:
    hanging = {"cache", "database"}
    running = EmbeddedCloud(Root(platform.root)).running()
    for name in hanging:
        os.kill(running[name].pid, signal.SIGSTOP)
    try:
        # An earlier result may be given for a few seconds more; the first that names them has waited for them.
        answer, took = eventually(
            lambda: found if failing((found := timed(api))[0].json) == hanging else None
        )
    finally:
        for name in hanging:
            os.kill(running[name].pid, signal.SIGCONT)
    document = answer.problem(503, "unhealthy")
    assert document["checks"]["dynamodb"] == "ok"
    assert {error["field"]: error["message"] for error in document["errors"]} == {
        name: document["checks"][name] for name in hanging
    }
    assert took < PROMISE
    assert eventually(lambda: api.get("/health").status == 200)
    time.sleep(MAX_AGE)  # until no earlier result is left


def timed(api: Api) -> tuple[Answer, float]:
    """The answer, and the seconds it took."""
    begun = time.monotonic()
    return api.get("/health"), time.monotonic() - begun


def failing(document: dict[str, Any]) -> set[str]:
    """The checks that do not say ok."""
    return {name for name, result in document["checks"].items() if result != "ok"}
