"""Tests that a ticket opens one WebSocket, and the responses to invalid tickets and frames."""

from __future__ import annotations

import json
import secrets
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from lambdas.common.caller import Caller
from lambdas.common.signing.tickets import LIFETIME, TicketStore
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person


def issue_ticket(platform: Platform, person: Person, *, age: float = 0) -> str:
    """Issues a ticket, with the same result as if the chat service had issued it `age` s ago."""
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
    query = f"?ticket={issue_ticket(platform, person)}"
    with open_socket(platform, query) as socket:
        socket.send(json.dumps({"action": "ping", "requestId": "r-1"}))
        assert json.loads(socket.recv(timeout=30)) == {
            "type": "ack",
            "requestId": "r-1",
            "action": "ping",
        }
    with pytest.raises(InvalidStatus) as rejected, open_socket(platform, query):
        pass
    assert rejected.value.response.status_code == 403


def test_invalid_frames_get_errors_and_the_connection_stays_open(
    platform: Platform, person: Person
) -> None:
    with open_socket(platform, f"?ticket={issue_ticket(platform, person)}") as socket:
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
    expired_ticket = issue_ticket(platform, person, age=LIFETIME + 1)
    for query, status in (
        ("", 401),
        ("?ticket=", 401),
        (f"?ticket={secrets.token_urlsafe(32)}", 403),
        (f"?ticket={expired_ticket}", 403),
        # An access token in the URL is rejected, because URLs appear in logs.
        (f"?ticket={person.access_token}", 403),
        (f"?token={person.access_token}", 401),
    ):
        with (
            pytest.raises((InvalidStatus, ConnectionClosed)) as rejected,
            open_socket(platform, query),
        ):
            pass
        assert isinstance(rejected.value, InvalidStatus), query
        assert rejected.value.response.status_code == status, query


def test_tickets_are_stored_as_hashes(platform: Platform, person: Person) -> None:
    ticket = issue_ticket(platform, person)
    assert ticket not in json.dumps(
        platform.aws("dynamodb").scan(TableName="chat-tickets-local")["Items"]
    )
