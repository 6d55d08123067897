"""The authorizer function, which both APIs invoke to check tokens and tickets."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import table_access
from modules.base.function import FunctionPlatform, LambdaFunction
from modules.base.table import Table
from modules.secrets import Parameters, parameter_access


class Authorizer(Construct):
    """One function that checks tokens for the REST API and redeems WebSocket tickets.

    Args:
        platform: The settings and resources that all functions share.
        parameters: The environment's SSM parameters, including the key that signs tokens.
        tickets_table: The table of WebSocket tickets. Redeeming a ticket deletes its item.

    Attributes:
        function: The function.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: FunctionPlatform,
        parameters: Parameters,
        tickets_table: Table,
    ) -> None:
        super().__init__(scope, id_)
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="authorizer",
            description="Checks tokens for the REST API and tickets for the WebSocket API",
            access=[
                parameter_access(parameters.jwt_secret),
                table_access(tickets_table, "DeleteItem", sid="RedeemTickets"),
            ],
        )
