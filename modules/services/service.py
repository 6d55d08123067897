"""A service as this platform has them: one function behind one path, and what every service may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdktf_cdktf_provider_aws.xray_group import XrayGroup
from constructs import Construct

from environments import FunctionName
from modules.api.rest import RestApi
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.naming import service_tag
from modules.base.policy import Statement
from modules.base.table import Table
from modules.secrets import Parameter, Parameters
from modules.services.statements import parameter_access, table_access


@dataclass(frozen=True, kw_only=True)
class ServicePlatform(FunctionPlatform):
    """What every service of an environment shares."""

    rest_api: RestApi
    tables: Mapping[str, Table]
    """The DynamoDB tables, by name without environment: `auth-sessions`."""
    bus_name: str
    bus_arn: str

    @property
    def parameters(self) -> Parameters:
        """The parameters that hold secrets."""
        return Parameters(self.names)


class Service(Construct):
    """One service: its function, its routes, its traces.

    Args:
        platform: what it shares with the others.
        service: its name, which is its function's.
        path: where it is below /v1.
        description: what it is for.
        variables: its function's variables beside those that all functions or all services have.
        statements: what its own code calls, and nothing more.
        secrets: the parameters it reads beside the cursor key.
        public: its routes have no authorizer. It then checks tokens itself.
        collections: it has lists, which take a key for their cursors, and requests that create things, whose repeats are remembered.
        repeatable: False: collections without such requests, none of its routes takes Idempotency-Key.
        publishes: it puts events on the bus, as `multitask.{service}`.
        outbox: it stores its events in the outbox, in the transactions they tell of, instead of putting them on the bus.
        network: where in the VPC it runs; None: outside.

    Attributes:
        function: the function.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: ServicePlatform,
        service: FunctionName,
        path: str,
        description: str,
        variables: Mapping[str, str],
        statements: Sequence[Statement],
        secrets: Sequence[Parameter] = (),
        public: bool = False,
        collections: bool = True,
        repeatable: bool = True,
        publishes: bool = True,
        outbox: bool = False,
        network: FunctionNetwork | None = None,
    ) -> None:
        super().__init__(scope, id_)
        sessions, idempotency = (
            platform.tables["auth-sessions"],
            platform.tables["platform-idempotency"],
        )
        cursor_key = platform.parameters.cursor_key
        common_variables = {"DYNAMODB_TABLE_SESSIONS": sessions.name}
        common_statements: list[Statement] = []
        parameters = [*secrets]
        if not public:
            common_statements.append(table_access("RevokedSessions", sessions, "GetItem"))
        if collections:
            common_variables["CURSOR_KEY_PARAMETER"] = cursor_key.name
            parameters.append(cursor_key)
        if collections and repeatable:
            common_variables["DYNAMODB_TABLE_IDEMPOTENCY"] = idempotency.name
            common_statements.append(
                table_access(
                    "Idempotency", idempotency, "GetItem", "PutItem", "UpdateItem", "DeleteItem"
                )
            )
        if parameters:
            common_statements.append(parameter_access(*parameters))
        if outbox:
            common_variables["DYNAMODB_TABLE_OUTBOX"] = platform.tables["platform-outbox"].name
            common_statements.append(_storing(service, platform.tables["platform-outbox"]))
        elif publishes:
            common_variables["EVENT_BUS_NAME"] = platform.bus_name
            common_statements.append(_publishing(service, platform.bus_arn))
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function=service,
            description=description,
            variables={**common_variables, **variables},
            statements=[*statements, *common_statements],
            network=network,
        )
        platform.rest_api.add_service(self, path, self.function, public=public)
        if platform.environment.capabilities.xray_groups:
            XrayGroup(
                self,
                "traces",
                group_name=platform.names.of(service, "service"),
                filter_expression=f'service("{self.function.name}")',
                tags=service_tag(service),
            )


def _storing(service: str, outbox: Table) -> Statement:
    return Statement(
        sid="Outbox",
        actions=["dynamodb:PutItem"],
        resources=[outbox.arn],
        # Nobody speaks for another service: an event's id begins with the name of the service it is from.
        conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": f"{service}-*"}},
    )


def _publishing(service: str, bus_arn: str) -> Statement:
    return Statement(
        sid="Events",
        actions=["events:PutEvents"],
        resources=[bus_arn],
        # Nobody speaks for another service. PutEvents always has a source; IfExists lets an emulated AWS pass that evaluates none.
        conditions={"StringEqualsIfExists": {"events:source": f"multitask.{service}"}},
    )
