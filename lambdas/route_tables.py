"""Collects the route tables of all services for documents and tests. No Lambda function imports
it.
"""

from importlib import import_module

from lambdas.common.web.router import Route

SERVICES = ("auth", "profile", "chat", "post", "catalog", "ai", "health")


def route_tables() -> dict[str, tuple[Route, ...]]:
    """Returns each service's routes by service name."""
    return {service: import_module(f"lambdas.{service}.routes").ROUTES for service in SERVICES}
