"""Tests WebSocket tickets, on moto."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lambdas.common.signing.tickets import LIFETIME, TicketStore
from tests.lambdas.support import FakeClock, caller

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CreateTable = Callable[..., str]


@pytest.fixture
def tickets(dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock) -> TicketStore:
    return TicketStore(dynamodb, table("ticket_hash"), clock)


def test_a_ticket_is_redeemed_once(tickets: TicketStore, dynamodb: "DynamoDBClient") -> None:
    ticket = tickets.issue(caller(), "Anonymous_Panda_789")
    stored: Any = dynamodb.scan(TableName="ticket_hash-table")["Items"]
    assert ticket not in str(stored)
    redeemed = tickets.redeem(ticket)
    assert redeemed is not None
    assert (redeemed.caller, redeemed.display_name) == (caller(), "Anonymous_Panda_789")
    assert tickets.redeem(ticket) is None


def test_expired_and_unknown_tickets_are_rejected(tickets: TicketStore, clock: FakeClock) -> None:
    ticket = tickets.issue(caller("user"), "A")
    clock.advance(LIFETIME)
    assert tickets.redeem(ticket) is None
    assert tickets.redeem("invented") is None
    assert tickets.redeem("") is None
