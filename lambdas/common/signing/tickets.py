"""Single-use tickets that open a WebSocket, so that no access token appears in a URL."""

import hashlib
from typing import TYPE_CHECKING

from msgspec import Struct

from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_secret
from lambdas.common.storage.dynamodb import ConditionFailedError, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIFETIME = 30
"""Seconds for which a ticket is valid (docs/api/websocket.md)."""


class Ticket(Struct, frozen=True):
    """The user for whom a ticket was issued."""

    caller: Caller
    display_name: str


class TicketStore:
    """Issues and redeems tickets. The table contains only their hashes."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock

    def issue(self, caller: Caller, display_name: str) -> str:
        ticket = new_secret()
        item = {
            "ticket_hash": _hash(ticket),
            "context": caller.to_context(),
            "display_name": display_name,
            "expires_at": int(self._clock()) + LIFETIME,
        }
        self._table.put(item)
        return ticket

    def redeem(self, ticket: str) -> Ticket | None:
        """Deletes a ticket and returns its user.

        Returns None if the ticket is unknown, already used or expired.
        """
        try:
            item = self._table.delete(
                {"ticket_hash": _hash(ticket)},
                condition="expires_at > :now",
                values={":now": int(self._clock())},
                returns="ALL_OLD",
            )
        except ConditionFailedError:
            return None
        return Ticket(Caller.from_context(item["context"]), item["display_name"])


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
