"""API Gateway's own error responses, in the services' problem format (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cdktf_cdktf_provider_aws.api_gateway_gateway_response import ApiGatewayGatewayResponse
from constructs import Construct

HEADERS: Mapping[str, str] = {
    "Content-Type": "'application/problem+json'",
    "Cache-Control": "'no-store'",
    "X-Content-Type-Options": "'nosniff'",
    # API Gateway cannot check the origin against a list. With `*`, browsers let every site read the
    # error, unless the request contained credentials such as cookies.
    "Access-Control-Allow-Origin": "'*'",
    "Access-Control-Expose-Headers": "'Retry-After,ETag,X-Correlation-Id'",
}
"""Headers of every error response. API Gateway requires single quotes around literals.

X-Correlation-Id is not among them. A gateway response could only copy the caller's unchecked
header, because it cannot set a header from a context variable (developer guide,
`gatewayresponse.header`). The body contains the request id instead.
"""


@dataclass(frozen=True)
class GatewayError:
    """An error response that API Gateway itself returns."""

    status: int
    title: str
    code: str
    """The machine-readable code, as in lambdas/common/problems.py."""
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> str:
        """The problem document as JSON, without a correlation id."""
        return json.dumps(self._document())

    @property
    def template(self) -> str:
        """The problem document as an API Gateway template.

        API Gateway inserts the request id, which is also in the access log.
        """
        return json.dumps({**self._document(), "correlationId": "$context.requestId"})

    def _document(self) -> dict[str, object]:
        document = {"type": "about:blank", "title": self.title, "status": self.status}
        return {**document, "detail": self.detail, "code": self.code, "errors": []}


NOT_FOUND = GatewayError(404, "Not Found", "not_found", "There is nothing at this address.")
"""The response for a path that no service handles."""
_FORBIDDEN = GatewayError(403, "Forbidden", "forbidden", "This is not allowed.")
_TIMEOUT = GatewayError(
    504, "Gateway Timeout", "timeout", "The service did not respond in time. Try again shortly."
)

GATEWAY_ERRORS: Mapping[str, GatewayError] = {
    "UNAUTHORIZED": GatewayError(
        401,
        "Unauthorized",
        "unauthorized",
        "Sign in and send a valid access token.",
        {"WWW-Authenticate": "'Bearer'"},
    ),
    "ACCESS_DENIED": _FORBIDDEN,
    "WAF_FILTERED": _FORBIDDEN,
    # Without this entry, API Gateway returns 403 for a path or method without a route.
    "MISSING_AUTHENTICATION_TOKEN": NOT_FOUND,
    "RESOURCE_NOT_FOUND": NOT_FOUND,
    "REQUEST_TOO_LARGE": GatewayError(
        413,
        "Content Too Large",
        "body_too_large",
        "The body is too large: send at most 1048576 bytes.",
    ),
    "UNSUPPORTED_MEDIA_TYPE": GatewayError(
        415,
        "Unsupported Media Type",
        "unsupported_media_type",
        "Send the body as application/json in UTF-8.",
    ),
    # API Gateway continuously adds tokens to its bucket, so clients may retry after a second.
    "THROTTLED": GatewayError(
        429,
        "Too Many Requests",
        "too_many_requests",
        "Too many requests. Try again in 1 second.",
        {"Retry-After": "'1'"},
    ),
    "INTEGRATION_FAILURE": _TIMEOUT,
    "INTEGRATION_TIMEOUT": _TIMEOUT,
    # The two DEFAULT types apply to all response types without an entry here. Each of them
    # sets a fixed status, because the body must contain the same status.
    "DEFAULT_4XX": GatewayError(400, "Bad Request", "bad_request", "The request is not valid."),
    "DEFAULT_5XX": GatewayError(
        500,
        "Internal Server Error",
        "internal_error",
        "Something went wrong on our side."
        " The correlation id of this response helps us to find the cause.",
    ),
}
"""The error responses, by the response type that API Gateway defines."""


class GatewayResponses(Construct):
    """All gateway responses of one REST API.

    Args:
        rest_api_id: The id of the REST API.

    Attributes:
        responses: The resources that a deployment must depend on.
    """

    def __init__(self, scope: Construct, id_: str, *, rest_api_id: str) -> None:
        super().__init__(scope, id_)
        self.responses = [
            ApiGatewayGatewayResponse(
                self,
                type_.lower().replace("_", "-"),
                rest_api_id=rest_api_id,
                response_type=type_,
                status_code=str(error.status),
                response_templates={"application/json": error.template},
                response_parameters={
                    f"gatewayresponse.header.{name}": value
                    for name, value in {**HEADERS, **error.headers}.items()
                },
            )
            for type_, error in GATEWAY_ERRORS.items()
        ]
