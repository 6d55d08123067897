"""The chat service's function, for both its APIs. Calls answer 501 and frames nothing; the code behind them is to come."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from lambdas.chat.routes import ROUTES
from lambdas.common.http import Event
from lambdas.common.service import Handler, entry_point, unimplemented_service


def build(environ: Mapping[str, str]) -> Handler:
    """The service, wired from the function's environment."""
    rest = unimplemented_service(ROUTES)(environ)

    def handle(event: Event, context: object) -> dict[str, Any]:
        if "connectionId" in event["requestContext"]:
            # A proxy integration takes a status from every WebSocket route; without a body nothing goes to the client.
            return {"statusCode": int(HTTPStatus.OK)}
        return rest(event, context)

    return handle


handler = entry_point(build)
