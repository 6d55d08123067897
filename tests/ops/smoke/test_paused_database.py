"""Tests that the smoke tests wait for a database that resumes from a pause."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ops.embedded.ports import LOOPBACK
from ops.smoke.suite import Suite
from ops.smoke.transport import RESUME_ATTEMPTS, Http, HttpRequest

REQUEST = HttpRequest("GET", "/v1/catalog/categories", {}, None, None)


@contextmanager
def responding(*codes: str) -> Iterator[str]:
    """Runs a server that responds with 503 and each of these codes in order, and then with 200."""
    remaining = list(codes)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code = remaining.pop(0) if remaining else "ok"
            body = b'{"code": "%s"}' % code.encode()
            self.send_response(200 if code == "ok" else 503)
            self.send_header("Retry-After", "5")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((LOOPBACK, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("codes", "status", "waits"),
    [
        ([], 200, 0),
        (["database_unavailable"] * 2, 200, 2),
        (["database_unavailable"] * 9, 503, RESUME_ATTEMPTS - 1),
        (["database_busy"], 503, 0),
    ],
)
def test_a_request_is_retried_while_the_database_resumes(
    codes: list[str], status: int, waits: int
) -> None:
    waited: list[float] = []
    with responding(*codes) as address:
        http = Http(address, "ws://unused", sleep=waited.append)
        assert http.send(Suite(service="catalog"), REQUEST).status == status
    assert waited == [5.0] * waits
