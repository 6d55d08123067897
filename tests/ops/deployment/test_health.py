"""Tests the health check that waits until a platform is healthy."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ops.deployment.health import Health, get_health, wait_until_healthy
from ops.errors import OperatorError


@pytest.fixture
def server() -> Iterator[tuple[str, list[int]]]:
    """Yields the URL of a server, and the statuses that the server returns in order.

    The server repeats the last status.
    """
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"status": status}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/health", statuses
        http.shutdown()


def test_health_check_waits_for_status_200(server: tuple[str, list[int]]) -> None:
    url, statuses = server
    statuses[:] = [503, 503, 200]
    assert wait_until_healthy(url, timeout=10).body == {"status": 200}


def test_error_contains_the_last_response(server: tuple[str, list[int]]) -> None:
    url, statuses = server
    statuses[:] = [503]
    with pytest.raises(OperatorError, match=r'not healthy after 0 s: 503 \{"status": 503\}'):
        wait_until_healthy(url, timeout=0.1)


def test_failed_request_has_status_0() -> None:
    health = get_health("http://127.0.0.1:9/health")
    assert (health.ok, health.status) == (False, 0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"status": "ok", "checks": {"database": "ok", "cache": "slow"}},
            "ok (database ok, cache slow)",
        ),
        ({"message": "Forbidden"}, '{"message": "Forbidden"}'),
        ("not running", "not running"),
    ],
)
def test_a_body_is_described_as_text(body: object, text: str) -> None:
    assert Health(503, body).describe() == text
