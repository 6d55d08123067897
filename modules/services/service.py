"""A service: one function that serves one API path, with the permissions every service needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cdktf_cdktf_provider_aws.xray_group import XrayGroup
from constructs import Construct

from environments import FunctionName
from modules.api.rest import RestApi
from modules.base.access import Access, table_access
from modules.base.function import FunctionNetwork, FunctionPlatform, LambdaFunction
from modules.base.naming import service_tag
from modules.base.policy import Statement
from modules.base.table import Table
from modules.secrets import Parameters, parameter_access


@dataclass(frozen=True, kw_only=True)
class ServicePlatform(FunctionPlatform):
    """The settings and resources that all services of one environment share."""

    rest_api: RestApi
    tables: Mapping[str, Table]
    """The DynamoDB tables by name without the environment, for example `auth-sessions`."""
    bus_name: str
    bus_arn: str

    @property
    def parameters(self) -> Parameters:
        """The SSM parameters that hold secrets."""
        return Parameters(self.names)


class Service(Construct):
    """One service with its function, its routes and an X-Ray group.

    Args:
        platform: The settings and resources that all services share.
        service: The name of the service and its function.
        path: The path below /v1.
        description: The service's purpose.
        variables: Environment variables in addition to those in `access`.
        access: The access to resources that the function uses or that invoke the function.
        public: Whether the routes have no authorizer. The service then checks tokens itself.
        has_paginated_routes: Whether any route is paginated. The cursors require a signing key.
        has_idempotent_routes: Whether any route accepts the header Idempotency-Key.
        publishes: Whether the service publishes events, with the source `multitask.{service}`.
        outbox: Whether the service stores each event in the outbox, in the same transaction as the
            change that the event describes, instead of sending events to the bus.
        network: The function's subnets and security group. None for a function outside the VPC.

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
        access: Sequence[Access],
        variables: Mapping[str, str] | None = None,
        public: bool = False,
        has_paginated_routes: bool = True,
        has_idempotent_routes: bool = True,
        publishes: bool = True,
        outbox: bool = False,
        network: FunctionNetwork | None = None,
    ) -> None:
        super().__init__(scope, id_)
        tables = platform.tables
        common: list[Access] = []
        if not public:
            common.append(table_access(tables["auth-sessions"], "GetItem", sid="RevokedSessions"))
        if has_idempotent_routes:
            operations = ("GetItem", "PutItem", "UpdateItem", "DeleteItem")
            common.append(table_access(tables["platform-idempotency"], *operations))
        if has_paginated_routes:
            common.append(parameter_access(platform.parameters.cursor_key))
        if outbox:
            common.append(_outbox_access(service, tables["platform-outbox"]))
        elif publishes:
            common.append(_bus_access(service, platform))
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function=service,
            description=description,
            variables=variables,
            access=[*access, *common],
            network=network,
        )
        platform.rest_api.add_service(self, path, self.function, public=public)
        XrayGroup(
            self,
            "traces",
            group_name=platform.names.of(service, "service"),
            filter_expression=f'service("{self.function.name}")',
            tags=service_tag(service),
        )


def _outbox_access(service: str, outbox: Table) -> Access:
    store = table_access(outbox, "PutItem")
    # Event ids begin with the name of the service that stores the event. The condition therefore
    # prevents a service from storing events in the name of another service.
    own_events = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": f"{service}-*"}}
    return replace(
        store, statements=[replace(item, conditions=own_events) for item in store.statements]
    )


def _bus_access(service: str, platform: ServicePlatform) -> Access:
    publish = Statement(
        sid="Events",
        actions=["events:PutEvents"],
        resources=[platform.bus_arn],
        # The condition prevents a service from publishing events in the name of another service.
        # On AWS, IfExists changes nothing, because PutEvents always has a source. The embedded AWS
        # (for local use) needs IfExists, because it has no value for the key `events:source`.
        conditions={"StringEqualsIfExists": {"events:source": f"multitask.{service}"}},
    )
    return Access({"EVENT_BUS_NAME": platform.bus_name}, [publish])
