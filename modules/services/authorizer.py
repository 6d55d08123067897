"""The authorizer of both APIs."""

from __future__ import annotations

from constructs import Construct

from modules.base.function import FunctionPlatform, LambdaFunction
from modules.base.table import Table
from modules.secrets import Parameters
from modules.services.statements import parameter_access, table_access


class Authorizer(Construct):
    """One function: it checks tokens for the REST API and redeems tickets for the WebSocket API.

    Args:
        platform: what it shares with the other functions.
        parameters: of the environment; it reads the key that signs tokens.
        tickets_table: the WebSocket tickets; redeeming one deletes it.

    Attributes:
        function: the function.
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
            variables={
                "JWT_SECRET_PARAMETER": parameters.jwt_secret.name,
                "DYNAMODB_TABLE_TICKETS": tickets_table.name,
            },
            statements=[
                parameter_access(parameters.jwt_secret),
                table_access("RedeemTickets", tickets_table, "DeleteItem"),
            ],
        )
