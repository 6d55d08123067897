"""The function of `GET /health`, which returns the health of the platform's dependencies."""

from collections.abc import Mapping
from http import HTTPStatus

# Lambda provides more CPU during initialization, so importing here keeps the first check fast.
import pg8000.native  # noqa: F401
from msgspec import Struct

from lambdas.common.caller import Caller
from lambdas.common.clients import Clients, client_config
from lambdas.common.logs import create_logger
from lambdas.common.problems import FieldError, Problem
from lambdas.common.settings import Settings, read
from lambdas.common.storage.cache import CacheSettings
from lambdas.common.storage.database import DatabaseSettings
from lambdas.common.web.access import Access
from lambdas.common.web.http import Request, Response
from lambdas.common.web.router import Router
from lambdas.common.web.service import entry_point
from lambdas.health.checks import OK, Checks
from lambdas.health.dependencies import CHECK_TIMEOUT, cache_check, database_check, dynamodb_check
from lambdas.health.routes import ROUTES


class HealthSettings(Settings, frozen=True, kw_only=True):
    version: str
    dynamodb_tables: tuple[str, ...]
    rds_endpoint: str = ""


class Health(Struct, frozen=True, kw_only=True):
    """The health of all dependencies, by name."""

    status: str
    stage: str
    version: str
    checks: dict[str, str]


class HealthApi:
    def __init__(self, checks: Checks, stage: str, version: str) -> None:
        self._checks = checks
        self._about = {"stage": stage, "version": version}

    def health(self, _request: Request) -> Response[Health]:
        """Returns the health of the platform's dependencies.

        The response takes at most 2 seconds. Results are reused for 5 seconds.
        """
        results = self._checks.get_results()
        failing = {name: result for name, result in results.items() if result != OK}
        if failing:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unhealthy",
                f"Unhealthy: {', '.join(failing)}.",
                errors=[FieldError(name, result) for name, result in failing.items()],
                members={**self._about, "checks": results},
            )
        return Response(body=Health(status=OK, **self._about, checks=results))


class NoAuthentication:
    """The authenticator of a function whose routes are all public."""

    def authenticate(self, _request: Request, access: Access) -> Caller | None:
        assert access.public, f"a route with {access} needs an authenticator"
        return None


def build(environ: Mapping[str, str]) -> Router:
    settings = read(HealthSettings, environ)
    logger = create_logger(settings)
    session = Clients(settings.region).session
    dynamodb = session.client(
        "dynamodb", config=client_config(read_timeout=CHECK_TIMEOUT, attempts=1)
    )
    checks = {"dynamodb": dynamodb_check(dynamodb, settings.dynamodb_tables)}
    # For a database that can pause, RDS_ENDPOINT is not set, because each check would resume it.
    if settings.rds_endpoint:
        checks["database"] = database_check(read(DatabaseSettings, environ), session)
    checks["cache"] = cache_check(read(CacheSettings, environ), session)
    return Router(
        ROUTES,
        {"health": HealthApi(Checks(checks, logger), settings.stage, settings.version).health},
        authenticator=NoAuthentication(),
        logger=logger,
        cors_origins=settings.cors_origins,
    )


handler = entry_point(build)
