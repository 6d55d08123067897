"""Tests that the connection client sends the same requests as boto3, and reads responses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from botocore.config import Config

from lambdas.common.live.fanout import ApiGateway
from tests.lambdas.support import REGION

CONNECTION_ID = "L0SM9cOFvHcCIhw="
"""API Gateway's connection ids end in "=", which is encoded in URLs."""


class FakeStage(BaseHTTPRequestHandler):
    """Records requests. Responds with the status code that the connection id contains."""

    seen: list[tuple[str, str, bytes, dict[str, str]]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, body, dict(self.headers)))
        status = next((int(code) for code in ("410", "429", "500") if code in self.path), 200)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_POST  # noqa: N815

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def stage() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeStage)
    FakeStage.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/local"
    server.shutdown()
    server.server_close()


@pytest.fixture
def gateway(stage: str, logger: Logger) -> ApiGateway:
    return ApiGateway(boto3.session.Session("id", "secret", "token", REGION), stage, logger)


def test_the_connection_client_sends_the_same_requests_as_boto3(
    gateway: ApiGateway, stage: str
) -> None:
    client = boto3.client(
        "apigatewaymanagementapi",
        region_name=REGION,
        endpoint_url=stage,
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        aws_session_token="token",
        config=Config(retries={"total_max_attempts": 1}),
    )
    for _ in range(5):  # repeats until both requests were signed within the same second
        FakeStage.seen.clear()
        client.post_to_connection(ConnectionId=CONNECTION_ID, Data=b"{}")
        assert gateway.post(CONNECTION_ID, b"{}") == "sent"
        expected, sent = FakeStage.seen
        if expected[3]["X-Amz-Date"] == sent[3]["X-Amz-Date"]:
            break
    assert sent[:3] == expected[:3]
    for header in ("X-Amz-Date", "X-Amz-Security-Token", "Authorization"):
        assert sent[3][header] == expected[3][header]


@pytest.mark.parametrize(
    ("name", "outcome"), [("c", "sent"), ("410", "gone"), ("429", "failed"), ("500", "failed")]
)
def test_the_status_code_of_a_post_decides_its_outcome(
    gateway: ApiGateway, name: str, outcome: str
) -> None:
    assert gateway.post(name, b"{}") == outcome


def test_a_connection_error_is_a_failure(logger: Logger) -> None:
    session = boto3.session.Session("id", "secret", region_name=REGION)
    gateway = ApiGateway(session, "http://127.0.0.1:9/local", logger)
    assert gateway.post("c", b"{}") == "failed"
    gateway.close("c")


def test_closing_sends_the_encoded_connection_id(gateway: ApiGateway) -> None:
    gateway.close(CONNECTION_ID)
    [(method, path, _, _)] = FakeStage.seen
    assert (method, path) == ("DELETE", "/local/@connections/L0SM9cOFvHcCIhw%3D")
