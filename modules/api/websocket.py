"""The WebSocket API of the chat service. Each action of a frame (WebSocket message) has a route."""

from __future__ import annotations

import hashlib
import json

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.apigatewayv2_api import Apigatewayv2Api
from cdktf_cdktf_provider_aws.apigatewayv2_api_mapping import Apigatewayv2ApiMapping
from cdktf_cdktf_provider_aws.apigatewayv2_authorizer import Apigatewayv2Authorizer
from cdktf_cdktf_provider_aws.apigatewayv2_deployment import Apigatewayv2Deployment
from cdktf_cdktf_provider_aws.apigatewayv2_domain_name import (
    Apigatewayv2DomainName,
    Apigatewayv2DomainNameDomainNameConfiguration,
)
from cdktf_cdktf_provider_aws.apigatewayv2_integration import Apigatewayv2Integration
from cdktf_cdktf_provider_aws.apigatewayv2_route import Apigatewayv2Route
from cdktf_cdktf_provider_aws.apigatewayv2_stage import (
    Apigatewayv2Stage,
    Apigatewayv2StageDefaultRouteSettings,
)
from constructs import Construct

from modules.api.gateway import allow_invocation, create_throttle, log_stage
from modules.base.access import Access
from modules.base.certificate import Certificate
from modules.base.dns import AliasRecords
from modules.base.function import LambdaFunction
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement

CONNECT = "$connect"

ACTIONS = (
    "join_room",
    "leave_room",
    "send_message",
    "typing_start",
    "typing_stop",
    "mark_read",
    "ping",
)
"""The actions of client frames. Frames with any other action go to $default."""

ROUTES = (CONNECT, "$disconnect", "$default", *ACTIONS)

TICKET = "route.request.querystring.ticket"
"""The query parameter with the ticket. Browsers cannot set headers when opening a WebSocket."""

# The log must not contain the principal. Together with the time of an anonymous message, it would
# reveal the author.
ACCESS_LOG_FIELDS = {
    "requestId": "requestId",
    "extendedRequestId": "extendedRequestId",
    "time": "requestTime",
    "timeEpoch": "requestTimeEpoch",
    "event": "eventType",
    "route": "routeKey",
    "connectionId": "connectionId",
    "messageId": "messageId",
    "status": "status",
    "integrationStatus": "integration.status",
    "integrationLatency": "integrationLatency",
    "integrationError": "integrationErrorMessage",
    "authorizerError": "authorizer.error",
    "error": "error.message",
    "sourceIp": "identity.sourceIp",
    "userAgent": "identity.userAgent",
}


class WebSocketApi(Construct):
    """The WebSocket API.

    Call `add_routes` last: the routes need the chat function, which itself needs the API's id.

    AWS WAF does not support WebSocket APIs. Throttling and tickets protect the stage instead.

    Args:
        names: The environment and its resource names.

    Attributes:
        api_id: API Gateway's id.
        stage_name: The environment's name.
        management_endpoint: The endpoint for sending frames to connections and closing them.
        url: The URL for clients: the custom domain, or an address of AWS or of the embedded AWS.
    """

    def __init__(self, scope: Construct, id_: str, *, names: Names) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment = environment
        self._name = names.of("platform", "websocket")
        self._api = Apigatewayv2Api(
            self,
            "api",
            name=self._name,
            description="Live frames of the chat service",
            protocol_type="WEBSOCKET",
            route_selection_expression="$request.body.action",
            # Lets functions call @connections over IPv6. The custom domain remains IPv4-only.
            ip_address_type="dualstack" if environment.network.ipv6_egress else None,
            tags=service_tag("chat"),
        )
        self.api_id: str = self._api.id
        self.stage_name = environment.name
        stage = f"{self.api_id}/{self.stage_name}"
        self._connections_arns = [
            names.arn("execute-api", f"{stage}/{method}/@connections/*")
            for method in ("POST", "DELETE")
        ]
        # The management endpoint cannot use the custom domain. The function needs the endpoint, and
        # the domain's mapping needs the function, so Terraform would find a cycle.
        self.management_endpoint = (
            f"{environment.endpoints.aws}/_aws/execute-api/{stage}"
            if environment.endpoints.aws
            else f"https://{self.api_id}.execute-api.{environment.region}.amazonaws.com"
            f"/{self.stage_name}"
        )
        self.url = (
            f"wss://{environment.domains.websocket}"
            if environment.domains
            else f"ws{self.management_endpoint.removeprefix('http')}"
        )

    def connection_access(self) -> Access:
        """Allows sending frames to connections, and closing them."""
        manage = Statement(
            sid="Connections",
            actions=["execute-api:ManageConnections"],
            resources=self._connections_arns,
        )
        return Access({"WEBSOCKET_API_ENDPOINT": self.management_endpoint}, [manage])

    def add_routes(self, function: LambdaFunction, *, authorizer: LambdaFunction) -> None:
        """Routes every frame to a function, and deploys the stage.

        Args:
            function: The function for all routes, including connect and disconnect.
            authorizer: The function that redeems the ticket of a connecting client.
        """
        environment = self._environment
        ticket_check = Apigatewayv2Authorizer(
            self,
            "authorizer",
            api_id=self.api_id,
            name=authorizer.name,
            authorizer_type="REQUEST",
            authorizer_uri=authorizer.alias.invoke_arn,
            identity_sources=[TICKET],
            # Only authorizers of HTTP APIs have these attributes, but the embedded AWS also returns
            # them for WebSocket APIs.
            lifecycle=TerraformResourceLifecycle(
                ignore_changes=["jwt_configuration", "authorizer_payload_format_version"]
            ),
        )
        allow_invocation(
            self,
            "authorizer-permission",
            function=authorizer,
            source_arn=f"{self._api.execution_arn}/authorizers/{ticket_check.id}",
        )
        integration = Apigatewayv2Integration(
            self,
            "integration",
            api_id=self.api_id,
            integration_type="AWS_PROXY",
            integration_method="POST",
            integration_uri=function.alias.invoke_arn,
        )
        allow_invocation(
            self,
            "permission",
            function=function,
            source_arn=f"{self._api.execution_arn}/{self.stage_name}/*",
        )
        routes = [
            Apigatewayv2Route(
                self,
                f"route-{route.removeprefix('$')}",
                api_id=self.api_id,
                route_key=route,
                target=f"integrations/{integration.id}",
                # The authorizer runs only for $connect. Later events contain its result.
                authorization_type="CUSTOM" if route == CONNECT else "NONE",
                authorizer_id=ticket_check.id if route == CONNECT else None,
            )
            for route in ROUTES
        ]
        configuration = json.dumps([sorted(ROUTES), TICKET, function.name, authorizer.name])
        deployment = Apigatewayv2Deployment(
            self,
            "deployment",
            api_id=self.api_id,
            description="The declared routes",
            triggers={
                "configuration": hashlib.sha256(configuration.encode()).hexdigest(),
                "authorizer": ticket_check.id,
                "integration": integration.id,
            },
            depends_on=routes,
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        limit = create_throttle(environment)
        logging = log_stage(
            self,
            environment=environment,
            api="websocket",
            fields=ACCESS_LOG_FIELDS,
            execution_log=f"/aws/apigateway/{self.api_id}/{self.stage_name}",
            service="chat",
        )
        stage = Apigatewayv2Stage(
            self,
            "stage",
            api_id=self.api_id,
            name=self.stage_name,
            deployment_id=deployment.id,
            default_route_settings=Apigatewayv2StageDefaultRouteSettings(
                throttling_rate_limit=limit.rate,
                throttling_burst_limit=limit.burst,
                detailed_metrics_enabled=environment.monitoring.detailed_metrics,
                logging_level=logging.level,
                data_trace_enabled=False,  # a data trace would log messages
            ),
            tags=service_tag("chat"),
            **logging.arguments,
        )
        self._custom_domain(stage)

    def _custom_domain(self, stage: Apigatewayv2Stage) -> None:
        domains, hosted_zone_id = self._environment.domains, self._environment.hosted_zone_id
        if domains is None or hosted_zone_id is None:
            return
        certificate = Certificate(
            self, "certificate", domain_names=[domains.websocket], hosted_zone_id=hosted_zone_id
        )
        domain = Apigatewayv2DomainName(
            self,
            "domain",
            domain_name=domains.websocket,
            domain_name_configuration=Apigatewayv2DomainNameDomainNameConfiguration(
                certificate_arn=certificate.arn, endpoint_type="REGIONAL", security_policy="TLS_1_2"
            ),
            tags=service_tag("chat"),
        )
        Apigatewayv2ApiMapping(
            self, "mapping", api_id=self.api_id, domain_name=domain.domain_name, stage=stage.name
        )
        AliasRecords(
            self,
            "records",
            hosted_zone_id=hosted_zone_id,
            domain_name=domains.websocket,
            target=domain.domain_name_configuration.target_domain_name,
            target_zone_id=domain.domain_name_configuration.hosted_zone_id,
        )
