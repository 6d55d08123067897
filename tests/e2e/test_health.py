"""GET /health."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.support import Api, Platform, eventually

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


@pytest.mark.parametrize("dependency", ["cache", "database"])
def test_a_hanging_dependency_is_named_in_time(platform: Platform, api: Api, dependency: str) -> None:
    process = EmbeddedCloud(Root(platform.root)).running()[dependency]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        # An earlier result may be given for a few seconds more.
        document = eventually(
            lambda: found if (found := api.get("/health").json)["checks"][dependency] != "ok" else None
        )
        time.sleep(5)
        begun = time.monotonic()
        api.get("/health").problem(503, "unhealthy")
        took = time.monotonic() - begun
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert document["errors"] == [{"field": dependency, "message": document["checks"][dependency]}]
    assert document["checks"].items() >= {*CHECKS.items()} - {(dependency, "ok")}
    assert took < PROMISE
    assert eventually(lambda: api.get("/health").status == 200)
    time.sleep(5)  # until no earlier result is left
