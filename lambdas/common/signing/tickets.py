"""Single-use tickets that open a WebSocket: an access token never goes into an address."""

import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_secret
from lambdas.common.storage.dynamodb import condition_failed, pack, unpack
from lambdas.common.web.caller import Caller

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIFETIME = 30
"""Seconds a ticket is good for (API contract, POST /v1/chat/tickets)."""


class Ticket(Struct, frozen=True):
    """Whom a redeemed ticket lets in."""

    caller: Caller
    display_name: str


class TicketStore:
    """Issues and redeems tickets; the table holds their hashes, so that reading it lets nobody in."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def issue(self, caller: Caller, display_name: str) -> str:
        """A new ticket for the caller."""
        ticket = new_secret()
        item = {
            "ticket_hash": _hash(ticket),
            "context": caller.to_context(),
            "display_name": display_name,
            "expires_at": int(self._clock()) + LIFETIME,
        }
        self._dynamodb.put_item(TableName=self._table, Item=pack(item))
        return ticket

    def redeem(self, ticket: str) -> Ticket | None:
        """Whom the ticket was issued to, once; None when it is unknown, used or too old."""
        try:
            item = self._dynamodb.delete_item(
                TableName=self._table,
                Key=pack({"ticket_hash": _hash(ticket)}),
                ConditionExpression="expires_at > :now",
                ExpressionAttributeValues=pack({":now": int(self._clock())}),
                ReturnValues="ALL_OLD",
            )["Attributes"]
        except ClientError as error:
            if condition_failed(error):
                return None
            raise
        found = unpack(item)
        return Ticket(Caller.from_context(found["context"]), found["display_name"])


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
