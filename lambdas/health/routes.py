"""The health function's one route."""

from lambdas.common.access import PUBLIC
from lambdas.common.router import Route

ROUTES = (Route("GET", "/health", PUBLIC, "health"),)
