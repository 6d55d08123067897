"""What makes a function of a route table: the entry point, and the wiring that all services behind the authorizer share."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lambdas.common.clients import Clients
from lambdas.common.logs import Logger, create_logger
from lambdas.common.settings import Settings, split
from lambdas.common.web.access import Authenticator, from_authorizer
from lambdas.common.web.http import Event
from lambdas.common.web.idempotency import Idempotency
from lambdas.common.web.router import Operation, Route, Router, failure
from lambdas.common.web.sessions import SessionReader

Handler = Callable[[Event, object], dict[str, Any]]


class SignedInSettings(Settings, frozen=True, kw_only=True):
    """What every service behind the authorizer is given."""

    dynamodb_table_sessions: str


class ServiceSettings(SignedInSettings, frozen=True, kw_only=True):
    """What a service with lists and repeatable requests is given besides."""

    dynamodb_table_idempotency: str
    cursor_key_parameter: str


def create_router(
    settings: SignedInSettings,
    clients: Clients,
    routes: Sequence[Route],
    operations: Mapping[str, Operation],
    logger: Logger | None = None,
) -> Router:
    """The router of a service behind the authorizer. Repeatable requests take ServiceSettings."""
    idempotency = None
    if isinstance(settings, ServiceSettings):
        idempotency = Idempotency(clients.dynamodb, settings.dynamodb_table_idempotency)
    return Router(
        routes,
        operations,
        authenticator=Authenticator(
            from_authorizer, SessionReader(clients.dynamodb, settings.dynamodb_table_sessions)
        ),
        logger=logger or create_logger(settings),
        cors_origins=settings.cors_origins,
        idempotency=idempotency,
    )


def entry_point(build: Callable[[Mapping[str, str]], Handler]) -> Handler:
    """The function Lambda calls: builds the service from its environment at the first event, and keeps it.

    A service that cannot be built (a variable is missing) answers a 500 problem and says why in its log.
    """
    built: list[Handler] = []

    def handler(event: Event, context: object) -> dict[str, Any]:
        try:
            if not built:
                built.append(build(os.environ))
        except Exception:
            origins = split(
                os.environ.get("CORS_ORIGINS", "")
            )  # by itself, since another variable may be missing
            return failure(event, Logger(stream=sys.stdout), origins, "the service cannot start")
        return built[0](event, context)

    return handler
