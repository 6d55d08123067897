"""Tests that calls to AWS time out before the function does."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from lambdas.common.clients import Clients
from tests.lambdas.support import REGION


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An AWS endpoint that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        (lambda clients: clients.dynamodb.get_item(TableName="table", Key={"id": {"S": "x"}}), 3),
        (lambda clients: clients.ssm.get_parameter(Name="/key"), 3),
        (lambda clients: clients.cognito.forgot_password(ClientId="client", Username="x"), 4),
        (lambda clients: clients.events.put_events(Entries=[{"Source": "x"}]), 3),
    ],
    ids=["dynamodb", "ssm", "cognito", "events"],
)
def test_a_hanging_call_times_out(
    silent: None, call: Callable[[Clients], Any], seconds: float
) -> None:
    clients = Clients(REGION)
    started = time.monotonic()
    with pytest.raises(BotoCoreError):
        call(clients)
    # Creating the client takes up to 0.5 s on a busy machine.
    assert time.monotonic() - started < seconds + 0.5
