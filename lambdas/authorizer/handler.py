"""The authorizer function of both APIs: tokens for REST, tickets for WebSocket connections."""

import os
from collections.abc import Mapping
from functools import cache
from time import perf_counter
from typing import Any

from lambdas.common.clients import Clients
from lambdas.common.logs import Logger, create_logger
from lambdas.common.settings import Settings, read
from lambdas.common.signing.keys import KeyRing, ParameterKeySource
from lambdas.common.signing.tickets import TicketStore
from lambdas.common.web.tokens import InvalidTokenError, TokenVerifier, bearer_token


class AuthorizerSettings(Settings, frozen=True, kw_only=True):
    jwt_secret_parameter: str
    dynamodb_table_tickets: str


class UnauthorizedError(Exception):
    """The token is invalid."""


class Authorizer:
    """Converts an access token, or a ticket that opens a WebSocket, to an IAM policy.

    The policy is returned with the context that services read.
    """

    def __init__(self, tokens: TokenVerifier, tickets: TicketStore, logger: Logger) -> None:
        self._tokens = tokens
        self._tickets = tickets
        self._logger = logger

    def __call__(self, event: Mapping[str, Any]) -> dict[str, Any]:
        started = perf_counter()
        # TOKEN events contain no request id, so this function's log lines for them have no
        # correlation id. The request's line in the access log has the same trace id.
        self._logger.set_correlation_id((event.get("requestContext") or {}).get("requestId"))
        outcome = "failed"
        try:
            if event["type"] == "TOKEN":
                result = self._authorize_token(event)
            else:
                result = self._authorize_ticket(event)
            outcome = result["policyDocument"]["Statement"][0]["Effect"]
            return result
        except UnauthorizedError:
            outcome = "Unauthorized"
            raise
        except Exception:
            self._logger.exception("authorizing failed")
            raise
        finally:
            # Omits the user's id. Other log lines of the same request contain its route and time.
            # Together with the user's id, they would reveal the author of an anonymous post.
            self._logger.info(
                "authorized",
                outcome=outcome,
                duration_ms=round((perf_counter() - started) * 1000, 1),
            )

    def _authorize_token(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a policy that allows all routes. Raises UnauthorizedError for an invalid token.

        Does not check the session: API Gateway caches the policy, so the services must check the
        session for each request.
        """
        try:
            caller = self._tokens.verify(bearer_token(event.get("authorizationToken")))
        except InvalidTokenError as error:
            self._logger.info("token rejected", reason=str(error))
            # API Gateway returns 401 for exactly the message "Unauthorized", and 500 for any other
            # error.
            raise UnauthorizedError("Unauthorized") from None
        # The policy is cached per token for all routes, so it must allow the whole stage.
        api_and_stage = "/".join(event["methodArn"].split("/")[:2])
        return _policy("Allow", caller.user_id, f"{api_and_stage}/*", caller.to_context())

    def _authorize_ticket(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Redeems the ticket and returns a policy that allows the connection.

        If the ticket is invalid, the policy denies the connection (status 403).
        """
        try:
            ticket = self._tickets.redeem(
                (event.get("queryStringParameters") or {}).get("ticket") or ""
            )
        except Exception:
            self._logger.exception("redeeming the ticket failed")
            ticket = None
        if ticket is None:
            return _policy("Deny", "nobody", event["methodArn"], {})
        context = {**ticket.caller.to_context(), "displayName": ticket.display_name}
        return _policy("Allow", ticket.caller.user_id, event["methodArn"], context)


def _policy(
    effect: str, principal: str, resource: str, context: Mapping[str, str]
) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {
        "principalId": principal,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": dict(context),
    }


@cache
def _authorizer() -> Authorizer:
    settings = read(AuthorizerSettings, os.environ)
    clients = Clients(settings.region)
    return Authorizer(
        TokenVerifier(KeyRing(ParameterKeySource(clients.ssm, settings.jwt_secret_parameter))),
        TicketStore(clients.dynamodb, settings.dynamodb_table_tickets),
        create_logger(settings),
    )


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return _authorizer()(event)
