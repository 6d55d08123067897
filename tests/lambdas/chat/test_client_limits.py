"""Tests the settings that limit signals and spread the reconnections of clients over time."""

from __future__ import annotations

import pytest

from tests.lambdas.chat.conftest import ChatUser, World, ok
from tests.lambdas.support import document


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "SIGNAL_LIMIT": "2", "RECONNECT_SECONDS": "600"}


def test_rooms_with_more_connections_than_the_limit_receive_no_signals(
    ann: ChatUser, bob: ChatUser, room_id: str
) -> None:
    sockets = [person.connect() for person in (ann, bob, bob)]
    for socket in sockets[:2]:
        socket.join(room_id)
    for socket in sockets:
        socket.take()
    sockets[0].send("typing_start", roomId=room_id)
    assert [frame["type"] for frame in sockets[1].take()] == ["typing"]
    # SIGNAL_LIMIT is 2: the maximum number of receivers, without the sender. When the two
    # connections below have joined, a signal has three receivers, so it is not sent.
    eve = ann.connect()
    for socket in (sockets[2], eve):
        socket.join(room_id)
    sockets[1].take()
    sockets[0].send("mark_read", roomId=room_id, seq=0)
    sockets[0].send("typing_stop", roomId=room_id)
    assert sockets[1].take() == []
    ann.send(room_id)
    assert [frame["type"] for frame in sockets[1].take()] == ["new_message"]


def test_a_ticket_contains_the_period_over_which_clients_spread_reconnections(
    ann: ChatUser, world: World
) -> None:
    ticket = document(ok(ann.call("POST", "/tickets", {}), 201))
    assert ticket["reconnectSeconds"] == 600
