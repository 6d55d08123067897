"""A service: one function behind one path, with the permissions that every service needs."""

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
    """What all services of an environment share."""

    rest_api: RestApi
    tables: Mapping[str, Table]
    """The DynamoDB tables, by name without environment: `auth-sessions`."""
    bus_name: str
    bus_arn: str

    @property
    def parameters(self) -> Parameters:
        """The SSM parameters that hold secrets."""
        return Parameters(self.names)


class Service(Construct):
    """One service with its function, routes and traces.

    Args:
        platform: What all services share.
        service: The name of the service and its function.
        path: The path below /v1.
        description: The service's purpose.
        variables: Variables in addition to those of all functions or services.
        statements: The permissions of its own code.
        secrets: The parameters it reads in addition to the cursor key.
        public: Whether its routes have no authorizer. The service then checks tokens itself.
        collections: Whether it has lists, whose cursors need a key, and requests that create items,
            for which it stores idempotency keys.
        repeatable: Whether any of its routes accepts Idempotency-Key, if it has collections.
        publishes: Whether it puts events on the bus, as `multitask.{service}`.
        outbox: Whether it stores events in the outbox, within the transactions that cause them,
            instead of putting them on the bus.
        network: The location in the VPC; None: outside.

    Attributes:
        function: The function.
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
        # An event's id begins with its service's name, so a service cannot impersonate another.
        conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": f"{service}-*"}},
    )


def _publishing(service: str, bus_arn: str) -> Statement:
    return Statement(
        sid="Events",
        actions=["events:PutEvents"],
        resources=[bus_arn],
        # Prevents impersonating another service. PutEvents always has a source; IfExists is for an
        # emulated AWS that does not evaluate it.
        conditions={"StringEqualsIfExists": {"events:source": f"multitask.{service}"}},
    )
