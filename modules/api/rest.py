"""The REST API, which has one path for each service, one authorizer and one stage."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from cdktf import ITerraformDependable, TerraformProvider, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.api_gateway_authorizer import ApiGatewayAuthorizer
from cdktf_cdktf_provider_aws.api_gateway_base_path_mapping import ApiGatewayBasePathMapping
from cdktf_cdktf_provider_aws.api_gateway_deployment import ApiGatewayDeployment
from cdktf_cdktf_provider_aws.api_gateway_domain_name import (
    ApiGatewayDomainName,
    ApiGatewayDomainNameEndpointConfiguration,
)
from cdktf_cdktf_provider_aws.api_gateway_integration import ApiGatewayIntegration
from cdktf_cdktf_provider_aws.api_gateway_method import ApiGatewayMethod
from cdktf_cdktf_provider_aws.api_gateway_method_settings import (
    ApiGatewayMethodSettings,
    ApiGatewayMethodSettingsSettings,
)
from cdktf_cdktf_provider_aws.api_gateway_resource import ApiGatewayResource
from cdktf_cdktf_provider_aws.api_gateway_rest_api import (
    ApiGatewayRestApi,
    ApiGatewayRestApiEndpointConfiguration,
)
from cdktf_cdktf_provider_aws.api_gateway_stage import ApiGatewayStage
from cdktf_cdktf_provider_aws.wafv2_web_acl_association import Wafv2WebAclAssociation
from constructs import Construct

from modules.api.errors import GATEWAY_ERRORS, HEADERS, NOT_FOUND, GatewayResponses
from modules.api.gateway import allow_invocation, create_throttle, log_stage
from modules.api.unknown import UnknownAddresses
from modules.base.certificate import Certificate
from modules.base.dns import AliasRecords
from modules.base.function import LambdaFunction
from modules.base.naming import Names, service_tag

AUTHORIZER_TTL = 300
"""Seconds for which the authorizer's result is cached per token (API Gateway's default).

The services check the token's expiry and session again.
"""

BEARER_PATTERN = "^[Bb][Ee][Aa][Rr][Ee][Rr] +[0-9A-Za-z_-]+[.][0-9A-Za-z_-]+[.][0-9A-Za-z_-]+$"
"""A Bearer header (RFC 6750) with a JWT. API Gateway returns 401 for any other header."""

COMPRESSED_FROM = 1024
"""Minimum bytes of a response to compress. Smaller responses fit in one packet anyway."""

# The log must not contain the caller's user id. Together with the path, the id would reveal an
# anonymous author.
ACCESS_LOG_FIELDS = {
    "requestId": "requestId",
    "extendedRequestId": "extendedRequestId",
    # API Gateway cannot log a request header such as X-Correlation-Id. The function's log lines
    # contain both the trace id and the correlation id.
    "traceId": "xrayTraceId",
    "time": "requestTime",
    "timeEpoch": "requestTimeEpoch",
    "method": "httpMethod",
    "resourcePath": "resourcePath",
    "path": "path",  # without the query, which may contain cursors and search terms
    "status": "status",
    "latency": "responseLatency",
    "integrationLatency": "integrationLatency",
    "integrationError": "integrationErrorMessage",
    "error": "error.message",
    "sourceIp": "identity.sourceIp",
    "userAgent": "identity.userAgent",
}


class RestApi(Construct):
    """The REST API: edge-optimized behind CloudFront, with a web ACL on its stage.

    It is built in steps, because routes need functions and functions may need the API's id. Call
    `use_authorizer` first, then `add_service` and `add_health`, and `deploy` last.

    The execute-api address stays enabled in addition to a custom domain, so that smoke tests can
    distinguish a failing API from a failing domain or certificate. The stage's web ACL, throttling
    and authorization apply to both addresses.

    Args:
        names: The environment and its resource names.
        web_acl_arn: The web ACL of the stage.
        edge_provider: The provider of us-east-1, for the certificate of the edge-optimized domain.

    Attributes:
        api_id: API Gateway's id.
        name: The API's name, as in its metrics.
        stage_name: The environment's name.
        stage_arn: The stage's ARN.
        url: The base URL: the custom domain, or `direct_url`.
        direct_url: The base URL that works as soon as the stage exists. It is an address of AWS or
            of the embedded AWS (the AWS emulator for local use).
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        web_acl_arn: str,
        edge_provider: TerraformProvider,
    ) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment = environment
        self._web_acl_arn = web_acl_arn
        self._edge_provider = edge_provider
        self.name = names.of("platform", "api")
        self._api = ApiGatewayRestApi(
            self,
            "api",
            name=self.name,
            description="The platform's services, one path each",
            endpoint_configuration=ApiGatewayRestApiEndpointConfiguration(types=["EDGE"]),
            minimum_compression_size=str(COMPRESSED_FROM),
            tags=service_tag("platform"),
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        self.api_id: str = self._api.id
        self.stage_name = environment.name
        self.stage_arn = (
            f"arn:aws:apigateway:{environment.region}::"
            f"/restapis/{self.api_id}/stages/{self.stage_name}"
        )
        self.direct_url = self._direct_url()
        domains = environment.domains
        self.url = f"https://{domains.api}" if domains else self.direct_url
        self._authorizer: ApiGatewayAuthorizer | None = None
        self._version = self._resource(self, "v1", self._api.root_resource_id, "v1")
        self._routes: list[tuple[str, str, str, bool]] = []
        self._deployed: list[ITerraformDependable] = [
            *GatewayResponses(self, "errors", rest_api_id=self.api_id).responses,
            *UnknownAddresses(self, "unknown-addresses", api=self._api).resources,
        ]

    def _direct_url(self) -> str:
        if endpoint := self._environment.endpoints.aws:
            return f"{endpoint}/restapis/{self.api_id}/{self.stage_name}/_user_request_"
        host = f"{self.api_id}.execute-api.{self._environment.region}.amazonaws.com"
        return f"https://{host}/{self.stage_name}"

    def use_authorizer(self, function: LambdaFunction) -> None:
        """Sets the function that checks the Authorization header, except on public routes."""
        self._authorizer = ApiGatewayAuthorizer(
            self,
            "authorizer",
            rest_api_id=self.api_id,
            name=function.name,
            type="TOKEN",
            identity_source="method.request.header.Authorization",
            identity_validation_expression=BEARER_PATTERN,
            authorizer_uri=function.alias.invoke_arn,
            authorizer_result_ttl_in_seconds=AUTHORIZER_TTL,
        )
        allow_invocation(
            self,
            "authorizer-permission",
            function=function,
            source_arn=f"{self._api.execution_arn}/authorizers/{self._authorizer.id}",
        )

    def add_service(
        self, scope: Construct, path: str, function: LambdaFunction, *, public: bool
    ) -> None:
        """Routes all requests at and below /v1/{path} to a function.

        Args:
            scope: The construct that contains the routes.
            path: The path segment.
            function: The function for all methods, including OPTIONS, because the function checks
                the CORS origins.
            public: Whether the routes have no authorizer. OPTIONS never has an authorizer, because
                preflight requests contain no token.
        """
        base = self._resource(scope, "path", self._version.id, path)
        below = self._resource(scope, "path-below", base.id, "{proxy+}")
        for resource, segments, id_suffix in (
            (base, path, ""),
            (below, f"{path}/{{proxy+}}", "-below"),
        ):
            route = f"/v1/{segments}"
            methods = {"ANY": False} if public else {"ANY": True, "OPTIONS": False}
            for method, authorized in methods.items():
                self._add_method(
                    scope,
                    f"{method.lower()}{id_suffix}",
                    resource,
                    route=(method, route),
                    function=function,
                    authorized=authorized,
                )
            self._allow_route(scope, f"permission{id_suffix}", route, function)

    def add_health(self, scope: Construct, function: LambdaFunction) -> None:
        """Routes /health to a function. The function returns 405 except for GET and OPTIONS."""
        resource = self._resource(scope, "path", self._api.root_resource_id, "health")
        self._add_method(
            scope, "any", resource, route=("ANY", "/health"), function=function, authorized=False
        )
        self._allow_route(scope, "permission", "/health", function)

    def _resource(
        self, scope: Construct, id_: str, parent_id: str, segment: str
    ) -> ApiGatewayResource:
        return ApiGatewayResource(
            scope, id_, rest_api_id=self.api_id, parent_id=parent_id, path_part=segment
        )

    def _add_method(
        self,
        scope: Construct,
        id_: str,
        resource: ApiGatewayResource,
        *,
        route: tuple[str, str],
        function: LambdaFunction,
        authorized: bool,
    ) -> None:
        if authorized and self._authorizer is None:
            raise ValueError(
                f"{' '.join(route)} is not public: call use_authorizer before adding the route"
            )
        method = ApiGatewayMethod(
            scope,
            f"{id_}-method",
            rest_api_id=self.api_id,
            resource_id=resource.id,
            http_method=route[0],
            authorization="CUSTOM" if authorized else "NONE",
            authorizer_id=self._authorizer.id if authorized and self._authorizer else None,
        )
        integration = ApiGatewayIntegration(
            scope,
            f"{id_}-integration",
            rest_api_id=self.api_id,
            resource_id=resource.id,
            http_method=method.http_method,
            type="AWS_PROXY",
            integration_http_method="POST",
            uri=function.alias.invoke_arn,
        )
        self._routes.append((*route, function.name, authorized))
        self._deployed += [method, integration]

    def _allow_route(
        self, scope: Construct, id_: str, route: str, function: LambdaFunction
    ) -> None:
        source = f"{self._api.execution_arn}/{self.stage_name}/*{route.replace('{proxy+}', '*')}"
        allow_invocation(scope, id_, function=function, source_arn=source)

    def deploy(self) -> None:
        """Deploys the routes to the stage. Call it after all routes are added."""
        environment = self._environment
        deployment = ApiGatewayDeployment(
            self,
            "deployment",
            rest_api_id=self.api_id,
            description="The declared routes",
            triggers={
                "configuration": self._digest(),
                **({"authorizer": self._authorizer.id} if self._authorizer else {}),
            },
            depends_on=self._deployed,
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        logging = log_stage(
            self,
            environment=environment,
            api="api",
            fields=ACCESS_LOG_FIELDS,
            execution_log=f"API-Gateway-Execution-Logs_{self.api_id}/{self.stage_name}",
            service="platform",
        )
        stage = ApiGatewayStage(
            self,
            "stage",
            rest_api_id=self.api_id,
            deployment_id=deployment.id,
            stage_name=self.stage_name,
            xray_tracing_enabled=True,
            tags=service_tag("platform"),
            **logging.arguments,
        )
        limit = create_throttle(environment)
        ApiGatewayMethodSettings(
            self,
            "settings",
            rest_api_id=self.api_id,
            stage_name=stage.stage_name,
            method_path="*/*",
            settings=ApiGatewayMethodSettingsSettings(
                throttling_rate_limit=limit.rate,
                throttling_burst_limit=limit.burst,
                metrics_enabled=environment.monitoring.detailed_metrics,
                logging_level=logging.level,
                data_trace_enabled=False,  # a data trace would log bodies and tokens
                caching_enabled=False,  # responses differ per caller
            ),
        )
        Wafv2WebAclAssociation(
            self, "firewall", resource_arn=stage.arn, web_acl_arn=self._web_acl_arn
        )
        self._custom_domain(stage)

    def _digest(self) -> str:
        """Returns a digest of the routes and settings. A changed digest causes a deployment.

        The digest covers only selected values, because reading all values of a CDKTF resource has
        side effects on the resource.
        """
        configuration = {
            "routes": sorted(self._routes),
            "errors": {type_: asdict(error) for type_, error in GATEWAY_ERRORS.items()},
            "error_headers": dict(HEADERS),
            "unknown_addresses": asdict(NOT_FOUND),
            "authorizer": [BEARER_PATTERN, AUTHORIZER_TTL],
            "compressed_from": COMPRESSED_FROM,
        }
        return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()

    def _custom_domain(self, stage: ApiGatewayStage) -> None:
        domains, hosted_zone_id = self._environment.domains, self._environment.hosted_zone_id
        if domains is None or hosted_zone_id is None:
            return
        certificate = Certificate(
            self,
            "certificate",
            domain_names=[domains.api],
            hosted_zone_id=hosted_zone_id,
            provider=self._edge_provider,
        )
        domain = ApiGatewayDomainName(
            self,
            "domain",
            domain_name=domains.api,
            certificate_arn=certificate.arn,
            endpoint_configuration=ApiGatewayDomainNameEndpointConfiguration(types=["EDGE"]),
            security_policy="TLS_1_2",
            tags=service_tag("platform"),
        )
        ApiGatewayBasePathMapping(
            self,
            "mapping",
            api_id=self.api_id,
            stage_name=stage.stage_name,
            domain_name=domain.domain_name,
        )
        AliasRecords(
            self,
            "records",
            hosted_zone_id=hosted_zone_id,
            domain_name=domains.api,
            target=domain.cloudfront_domain_name,
            target_zone_id=domain.cloudfront_zone_id,
        )
