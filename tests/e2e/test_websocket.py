"""Tests that a ticket opens one WebSocket."""

from __future__ import annotations

import json
import secrets
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from lambdas.common.caller import Caller
from lambdas.common.signing.tickets import LIFETIME, TicketStore
from tests.e2e.support import Person, Platform


def issue(platform: Platform, person: Person, *, age: float = 0) -> str:
    """Issues a ticket as the chat service does, `age` seconds ago."""
    claims = person.claims
    roles, capabilities = frozenset(claims["roles"]), frozenset(claims["cap"])
    caller = Caller(claims["sub"], claims["sid"], roles, capabilities, claims["exp"])
    store = TicketStore(
        platform.aws("dynamodb"), "chat-tickets-local", clock=lambda: time.time() - age
    )
    return store.issue(caller, person.display_name)


def open_socket(platform: Platform, query: str) -> ClientConnection:
    return connect(platform.ws_url + query, open_timeout=30, proxy=None)


def test_a_ticket_opens_one_websocket(platform: Platform, person: Person) -> None:
    query = f"?ticket={issue(platform, person)}"
    with open_socket(platform, query) as socket:
        socket.send(json.dumps({"action": "ping", "requestId": "r-1"}))
        assert json.loads(socket.recv(timeout=30)) == {
            "type": "ack",
            "requestId": "r-1",
            "action": "ping",
        }
    with pytest.raises(InvalidStatus) as refused, open_socket(platform, query):
        pass
    assert refused.value.response.status_code == 403


def test_hostile_frames_get_errors_and_keep_the_connection(
    platform: Platform, person: Person
) -> None:
    with open_socket(platform, f"?ticket={issue(platform, person)}") as socket:
        for frame, code in (
            ('{"action": "$connect"}', "unknown_action"),
            ('{"action": "$disconnect"}', "unknown_action"),
            ('{"action": "ping", "x": ' + "[" * 10_000 + "]" * 10_000 + "}", "malformed_json"),
            ('{"action": "ping", "requestId": "' + "x" * 32 * 1024 + '"}', "frame_too_large"),
        ):
            socket.send(frame)
            error = json.loads(socket.recv(timeout=30))
            assert (error["type"], error["code"]) == ("error", code)
        socket.send(json.dumps({"action": "ping", "requestId": "r-1"}))
        assert json.loads(socket.recv(timeout=30))["type"] == "ack"


def test_an_invalid_ticket_is_rejected(platform: Platform, person: Person) -> None:
    too_old = issue(platform, person, age=LIFETIME + 1)
    for query, status in (
        ("", 401),
        ("?ticket=", 401),
        (f"?ticket={secrets.token_urlsafe(32)}", 403),
        (f"?ticket={too_old}", 403),
        # An access token in the URL is rejected, because URLs appear in logs.
        (f"?ticket={person.access_token}", 403),
        (f"?token={person.access_token}", 401),
    ):
        with (
            pytest.raises((InvalidStatus, ConnectionClosed)) as refused,
            open_socket(platform, query),
        ):
            pass
        assert isinstance(refused.value, InvalidStatus), query
        assert refused.value.response.status_code == status, query


def test_tickets_are_stored_as_hashes(platform: Platform, person: Person) -> None:
    ticket = issue(platform, person)
    assert ticket not in json.dumps(
        platform.aws("dynamodb").scan(TableName="chat-tickets-local")["Items"]
    )
