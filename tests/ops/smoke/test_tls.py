"""Tests the requests of the smoke tests to servers with a certificate of a given authority."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from ops.embedded.certificates import Certificates
from ops.embedded.ports import LOOPBACK
from ops.root import Root
from ops.smoke.suite import Suite
from ops.smoke.transport import UPGRADED, Http, HttpRequest

HEALTH = HttpRequest("GET", "/health", {}, None, None)
SUITE = Suite(service="health")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    result = Certificates(Root(tmp_path))
    result.renew()
    return result


@pytest.fixture
def address(certificates: Certificates) -> Iterator[str]:
    """Runs a server that responds to /health and echoes WebSocket frames. Yields its address."""

    def respond(connection: ServerConnection, request: Request) -> Response | None:
        is_health = request.path == HEALTH.path
        return connection.respond(HTTPStatus.OK, "{}") if is_health else None

    def return_frames(connection: ServerConnection) -> None:
        for frame in connection:
            connection.send(frame)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.server)
    with serve(return_frames, LOOPBACK, 0, ssl=tls, process_request=respond) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{LOOPBACK}:{server.socket.getsockname()[1]}"


def test_requests_and_sockets_trust_the_given_authority(
    certificates: Certificates, address: str
) -> None:
    http = Http(f"https://{address}", f"wss://{address}", str(certificates.authority))
    assert http.send(SUITE, HEALTH).status == 200
    with http.open("ticket") as (response, exchange):
        assert response.status == UPGRADED
        assert exchange({"requestId": "r"}).body == {"requestId": "r"}


def test_requests_and_sockets_refuse_another_authority(address: str, tmp_path: Path) -> None:
    other = Certificates(Root(tmp_path / "other"))
    other.renew()
    http = Http(f"https://{address}", f"wss://{address}", str(other.authority))
    assert (http.send(SUITE, HEALTH).status, http.send(SUITE, HEALTH).error) == (0, "SSLError")
    with http.open("ticket") as (response, _):
        assert (response.status, response.error) == (0, "SSLCertVerificationError")
