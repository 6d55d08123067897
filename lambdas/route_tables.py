"""All services' route tables in one place, for documents and tests; no function packages or imports it."""

from importlib import import_module

from lambdas.common.web.router import Route

SERVICES = ("auth", "profile", "chat", "post", "catalog", "ai", "health")


def route_tables() -> dict[str, tuple[Route, ...]]:
    """The routes by service."""
    return {service: import_module(f"lambdas.{service}.routes").ROUTES for service in SERVICES}
