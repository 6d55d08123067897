"""Calls the authorizer with a token for the REST API and a ticket for the WebSocket API."""

from __future__ import annotations

import time
from collections.abc import Iterator

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lambdas.common.caller import Caller
from lambdas.common.signing.tickets import TicketStore
from tests.e2e.scenarios.context import ScenarioContext
from tests.e2e.support.users import User


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    # A new token, because API Gateway caches the authorizer's result for each token.
    user = User.create(context.platform, "Ann Example")
    context.api.get("/v1/profile", token=user.token).expect(200)
    yield "token"
    caller = Caller(
        user.user_id, user.session_id, frozenset({"user"}), frozenset(), int(time.time()) + 60
    )
    ticket = TicketStore(context.client("dynamodb"), "chat-tickets-local").issue(
        caller, user.display_name
    )
    try:
        with connect(f"{context.platform.ws_url}?ticket={ticket}", open_timeout=30, proxy=None):
            yield "ticket"
    except InvalidStatus as refused:
        raise AssertionError("the ticket did not open a WebSocket") from refused
