"""The profile service's function. Its routes answer 501 to those who may call them; the code behind them is to come."""

from collections.abc import Mapping

from lambdas.common.clients import Clients
from lambdas.common.router import Router, unimplemented
from lambdas.common.service import ServiceSettings, create_router, entry_point
from lambdas.common.settings import read
from lambdas.profile.routes import ROUTES


def build(environ: Mapping[str, str]) -> Router:
    """The service, wired from the function's environment."""
    settings = read(ServiceSettings, environ)
    return create_router(settings, Clients(settings.region), ROUTES, unimplemented(ROUTES))


handler = entry_point(build)
