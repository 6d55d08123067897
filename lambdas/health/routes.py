"""The health function's one route."""

from lambdas.common.web.access import PUBLIC
from lambdas.common.web.router import Route

ROUTES = (Route("GET", "/health", PUBLIC, "health"),)
