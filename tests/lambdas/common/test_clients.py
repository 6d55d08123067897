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
    ("name", "call", "seconds"),
    [
        ("dynamodb", lambda c: c.get_item(TableName="table", Key={"id": {"S": "x"}}), 3),
        ("ssm", lambda c: c.get_parameter(Name="/key"), 3),
        ("cognito", lambda c: c.forgot_password(ClientId="client", Username="x"), 4),
        ("events", lambda c: c.put_events(Entries=[{"Source": "x"}]), 3),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hanging_call_times_out(
    silent: None, name: str, call: Callable[[Any], Any], seconds: float
) -> None:
    client = getattr(Clients(REGION), name)
    started = time.monotonic()
    with pytest.raises(BotoCoreError):
        call(client)
    assert time.monotonic() - started < seconds + 1
