"""Tests the authorizer's policies for tokens and tickets."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.authorizer.handler import Authorizer
from lambdas.common.caller import Caller
from lambdas.common.signing.keys import KeyRing
from lambdas.common.signing.tickets import TicketStore
from lambdas.common.web.tokens import TokenIssuer, TokenVerifier
from tests.lambdas.support import FakeClock, FakeKeys, caller

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

API = "arn:aws:execute-api:us-east-1:000000000000:abc/local"


class AuthorizerClient:
    """Issues tokens and tickets, and calls an authorizer that accepts them."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, logger: Logger) -> None:
        self.clock = FakeClock()
        ring = KeyRing(FakeKeys(), self.clock)
        self.issuer = TokenIssuer(ring, self.clock)
        self.tickets = TicketStore(dynamodb, table, self.clock)
        self.authorizer = Authorizer(TokenVerifier(ring, self.clock), self.tickets, logger)

    def token(self) -> str:
        return self.issuer.issue(
            "u", "s", lifetime=900, roles=frozenset({"user", "admin"}), capabilities=frozenset()
        )

    def rest(self, authorization: str | None, call: str = "GET/v1/profile") -> dict[str, Any]:
        event = {"type": "TOKEN", "authorizationToken": authorization, "methodArn": f"{API}/{call}"}
        return self.authorizer(event)

    def connect(self, query: dict[str, str] | None) -> tuple[str, dict[str, str]]:
        event = {"type": "REQUEST", "methodArn": f"{API}/$connect", "queryStringParameters": query}
        response = self.authorizer(event)
        (statement,) = response["policyDocument"]["Statement"]
        assert statement["Resource"] == f"{API}/$connect"
        return statement["Effect"], response["context"]


@pytest.fixture
def client(
    dynamodb: "DynamoDBClient", table: Callable[..., str], logger: Logger
) -> AuthorizerClient:
    return AuthorizerClient(dynamodb, table("ticket_hash"), logger)


def test_a_valid_token_is_allowed_on_all_routes_of_the_requested_stage(
    client: AuthorizerClient,
) -> None:
    response = client.rest(f"Bearer {client.token()}", "POST/v1/chat/rooms/a/messages")
    (statement,) = response["policyDocument"]["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", f"{API}/*")
    assert response["principalId"] == "u"
    assert response["context"] == {
        "sub": "u",
        "sid": "s",
        "roles": "admin,user",
        "cap": "",
        "exp": "1800000900",
    }


def test_an_invalid_token_raises_an_error_with_the_exact_text_unauthorized(
    client: AuthorizerClient,
) -> None:
    good = client.token()
    for bad in (None, "", good, f"Basic {good}", f"Bearer {good[:-3]}xyz"):
        with pytest.raises(Exception, match=r"^Unauthorized$"):
            client.rest(bad)
    client.clock.advance(900)
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        client.rest(f"Bearer {good}")


def test_a_ticket_allows_one_connection(client: AuthorizerClient) -> None:
    ticket = client.tickets.issue(caller(), "Anonymous_Panda_789")
    effect, context = client.connect({"ticket": ticket})
    assert effect == "Allow"
    assert Caller.from_context(context) == caller()
    assert context["displayName"] == "Anonymous_Panda_789"
    assert client.connect({"ticket": ticket}) == ("Deny", {})


@pytest.mark.parametrize(
    "query", [None, {}, {"ticket": ""}, {"ticket": "invented"}, {"token": "x"}]
)
def test_missing_and_unknown_tickets_are_denied(
    client: AuthorizerClient, query: dict[str, str] | None
) -> None:
    assert client.connect(query) == ("Deny", {})


def test_an_outage_denies_connections_and_is_logged(
    client: AuthorizerClient, dynamodb: "DynamoDBClient", logged: Callable[[], list[dict[str, Any]]]
) -> None:
    dynamodb.delete_table(TableName="ticket_hash-table")
    assert client.connect({"ticket": "x"}) == ("Deny", {})
    assert re.search("ResourceNotFound", logged()[0]["exception"])


def test_each_outcome_is_logged_without_the_user(
    client: AuthorizerClient, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    token = client.token()
    client.rest(f"Bearer {token}")
    with pytest.raises(Exception, match="Unauthorized"):
        client.rest("Bearer invented")
    with pytest.raises(KeyError):
        client.authorizer({"type": "TOKEN", "authorizationToken": f"Bearer {token}"})
    ticket = {"type": "REQUEST", "methodArn": f"{API}/$connect"}
    client.authorizer({**ticket, "requestContext": {"requestId": "r-1"}})
    lines = logged()
    ends = [line for line in lines if line["message"] == "authorized"]
    assert [line["outcome"] for line in ends] == ["Allow", "Unauthorized", "failed", "Deny"]
    assert ends[3]["correlation_id"] == "r-1"
    assert all(line["duration_ms"] >= 0 for line in ends)
    [rejected] = [line for line in lines if line["message"] == "token rejected"]
    assert rejected["reason"] == "malformed or forged"
    assert [line["exception_name"] for line in lines if "exception" in line] == ["KeyError"]
    assert token not in str(lines)
    assert not any('"u"' in str(line) for line in ends)
