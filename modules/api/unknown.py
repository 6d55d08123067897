"""The response for paths that no service handles."""

from __future__ import annotations

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.api_gateway_integration import ApiGatewayIntegration
from cdktf_cdktf_provider_aws.api_gateway_integration_response import ApiGatewayIntegrationResponse
from cdktf_cdktf_provider_aws.api_gateway_method import ApiGatewayMethod
from cdktf_cdktf_provider_aws.api_gateway_method_response import ApiGatewayMethodResponse
from cdktf_cdktf_provider_aws.api_gateway_resource import ApiGatewayResource
from cdktf_cdktf_provider_aws.api_gateway_rest_api import ApiGatewayRestApi
from constructs import Construct

from modules.api.errors import HEADERS, NOT_FOUND


class UnknownAddresses(Construct):
    """Returns 404 at the path / and at every unmatched path, without a function.

    Without methods for these paths, API Gateway would treat the Authorization header as an AWS
    signature. A Bearer token would cause a signature error, which gateway responses cannot
    distinguish from other bad requests.

    Args:
        api: The REST API.

    Attributes:
        resources: The resources that a deployment must depend on.
    """

    def __init__(self, scope: Construct, id_: str, *, api: ApiGatewayRestApi) -> None:
        super().__init__(scope, id_)
        self._api_id: str = api.id
        any_path = ApiGatewayResource(
            self, "path", rest_api_id=api.id, parent_id=api.root_resource_id, path_part="{proxy+}"
        )
        self.resources = [
            *self._add_not_found("root", api.root_resource_id),
            *self._add_not_found("any", any_path.id),
        ]

    def _add_not_found(self, id_: str, resource_id: str) -> list[ITerraformDependable]:
        status = str(NOT_FOUND.status)
        method = ApiGatewayMethod(
            self,
            f"{id_}-method",
            rest_api_id=self._api_id,
            resource_id=resource_id,
            http_method="ANY",
            authorization="NONE",
        )
        integration = ApiGatewayIntegration(
            self,
            f"{id_}-integration",
            rest_api_id=self._api_id,
            resource_id=resource_id,
            http_method=method.http_method,
            # The integration has no integration_http_method, because API Gateway returns no HTTP
            # method for a mock integration (developer guide, "Mock integrations"). If the stack set
            # one, every plan would show a difference, and the provider would replace the
            # integration together with its response.
            type="MOCK",
            request_templates={"application/json": f'{{"statusCode": {status}}}'},
        )
        declared = ApiGatewayMethodResponse(
            self,
            f"{id_}-method-response",
            rest_api_id=self._api_id,
            resource_id=resource_id,
            http_method=method.http_method,
            status_code=status,
            response_parameters={f"method.response.header.{name}": True for name in HEADERS},
        )
        response = ApiGatewayIntegrationResponse(
            self,
            f"{id_}-integration-response",
            rest_api_id=self._api_id,
            resource_id=resource_id,
            http_method=method.http_method,
            status_code=declared.status_code,
            response_templates={"application/json": NOT_FOUND.template},
            response_parameters={
                f"method.response.header.{name}": value for name, value in HEADERS.items()
            },
            depends_on=[integration],
        )
        return [method, integration, declared, response]
