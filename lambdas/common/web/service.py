"""The Lambda entry point, and the set-up of a service's router."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lambdas.common.clients import Clients
from lambdas.common.logs import Logger
from lambdas.common.settings import Settings, split
from lambdas.common.web.access import Authenticator, Identify, from_authorizer
from lambdas.common.web.http import Event
from lambdas.common.web.idempotency import Idempotency
from lambdas.common.web.router import Operation, Route, Router, failure
from lambdas.common.web.sessions import SessionReader

Handler = Callable[[Event, object], dict[str, Any]]


class SignedInSettings(Settings, frozen=True, kw_only=True):
    """The settings of a service with routes that require a session."""

    dynamodb_table_sessions: str


class IdempotentSettings(SignedInSettings, frozen=True, kw_only=True):
    """The settings of a service with idempotent routes."""

    dynamodb_table_idempotency: str


class ServiceSettings(IdempotentSettings, frozen=True, kw_only=True):
    """The settings of a service that has idempotent routes, and lists with cursors."""

    cursor_key_parameter: str


def create_router(
    settings: SignedInSettings,
    clients: Clients,
    routes: Sequence[Route],
    api: object,
    logger: Logger,
    *,
    identify: Identify = from_authorizer,
) -> Router:
    """Creates the router of a service.

    `api` has one method per operation of the routes. Idempotent routes require IdempotentSettings.
    """
    idempotency = None
    if isinstance(settings, IdempotentSettings):
        idempotency = Idempotency(clients.dynamodb, settings.dynamodb_table_idempotency)
    return Router(
        routes,
        operations_of(api, routes),
        authenticator=Authenticator(
            identify, SessionReader(clients.dynamodb, settings.dynamodb_table_sessions)
        ),
        logger=logger,
        cors_origins=settings.cors_origins,
        idempotency=idempotency,
    )


def operations_of(api: object, routes: Sequence[Route]) -> dict[str, Operation]:
    """Returns the method of `api` for each route. Raises AttributeError if a method is missing."""
    return {route.operation: getattr(api, route.operation) for route in routes}


def entry_point(build: Callable[[Mapping[str, str]], Handler]) -> Handler:
    """Returns the Lambda handler, which builds the service on the first event and reuses it.

    If building fails, for example because a variable is missing, the handler logs the reason and
    returns a 500 problem.
    """
    built: list[Handler] = []

    def handler(event: Event, context: object) -> dict[str, Any]:
        try:
            if not built:
                built.append(build(os.environ))
        except Exception:
            # Settings cannot be used here, because they fail if any variable is missing.
            origins = split(os.environ.get("CORS_ORIGINS", ""))
            return failure(event, Logger(stream=sys.stdout), origins, "the service cannot start")
        return built[0](event, context)

    return handler
