"""The route of the health function."""

from lambdas.common.web.access import PUBLIC
from lambdas.common.web.router import Route

ROUTES = (Route("GET", "/health", PUBLIC, "health", error_codes={"unhealthy": 503}),)
