"""Tests routing, error responses, and the headers of every response."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from lambdas.common.problems import Problem
from lambdas.common.web.access import AUTHENTICATED, PUBLIC, Authenticator, from_authorizer, role
from lambdas.common.web.http import Request, Response
from lambdas.common.web.router import Operation, Route, Router, RouteTable
from tests.lambdas.support import (
    FakeClock,
    FakeSessions,
    LambdaResponse,
    caller,
    document,
    problem,
    rest_event,
)

ROUTES = (
    Route("GET", "/v1/things/{thingId}", PUBLIC, "get"),
    Route("PUT", "/v1/things/special", PUBLIC, "put"),
    Route("POST", "/v1/things", PUBLIC, "post"),
    Route("GET", "/v1/mine", AUTHENTICATED, "mine"),
    Route("GET", "/v1/hidden", AUTHENTICATED, "hidden", anonymous=True),
    Route("GET", "/v1/registered", role("user"), "mine"),
)
ORIGIN = "https://app.example.com"
Call = Callable[..., LambdaResponse]


def echo(request: Request) -> Response[Any]:
    return Response(body=dict(request.path_parameters))


def mine(request: Request) -> Response[Any]:
    return Response(body={"userId": request.caller.user_id})


@pytest.fixture
def operations() -> dict[str, Operation]:
    return {"get": echo, "put": echo, "post": echo, "mine": mine, "hidden": mine}


@pytest.fixture
def call(operations: dict[str, Operation], logger: Logger, clock: FakeClock) -> Call:
    def send(
        method: str,
        path: str,
        body: object = None,
        *,
        origins: tuple[str, ...] = (ORIGIN,),
        **parts: Any,
    ) -> LambdaResponse:
        authenticator = Authenticator(from_authorizer, FakeSessions(), clock)
        router = Router(
            ROUTES, operations, authenticator=authenticator, logger=logger, cors_origins=origins
        )
        return router(rest_event(method, path, body, **parts), None)

    return send


def test_literal_segment_takes_precedence_over_a_parameter(call: Call) -> None:
    assert document(call("GET", "/v1/things/7")) == {"thingId": "7"}
    assert document(call("PUT", "/v1/things/special")) == {}
    assert call("GET", "/v1/things/special")["statusCode"] == 405


def test_a_trailing_slash_is_ignored(call: Call) -> None:
    assert call("POST", "/v1/things/")["statusCode"] == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/other", "/v1/things/1/2", "/v1/things//x", "/V1/things"]
)
def test_unknown_paths_return_404(call: Call, path: str) -> None:
    problem(call("GET", path, resource="/{proxy+}"), 404)


def test_other_methods_return_405_and_the_allowed_methods(call: Call) -> None:
    response = call("DELETE", "/v1/things/7")
    problem(response, 405)
    assert response["headers"]["Allow"] == "GET, OPTIONS"


@given(st.lists(st.sampled_from(["a", "b", "{x}", "{y}"]), min_size=1, max_size=4), st.data())
def test_a_route_template_matches_any_parameter_values(
    template: list[str], data: st.DataObject
) -> None:
    segments = [
        data.draw(st.text(min_size=1)) if part.startswith("{") else part for part in template
    ]
    table = RouteTable([Route("GET", "/" + "/".join(template), PUBLIC, "it")])
    methods, parameters = table.match(segments)
    assert methods["GET"].operation == "it"
    assert parameters == {
        part[1:-1]: value
        for part, value in zip(template, segments, strict=True)
        if part.startswith("{")
    }
    with pytest.raises(Problem):
        table.match([*segments, "more"])


def test_preflight_needs_no_token(call: Call) -> None:
    response = call(
        "OPTIONS", "/v1/mine", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    )
    assert (response["statusCode"], response["body"]) == (204, "")
    assert response["headers"]["Access-Control-Allow-Origin"] == ORIGIN
    assert response["headers"]["Access-Control-Allow-Methods"] == "GET, OPTIONS"
    assert response["headers"]["Access-Control-Max-Age"] == "7200"
    allowed = set(response["headers"]["Access-Control-Allow-Headers"].split(", "))
    assert allowed == {
        "Authorization",
        "Content-Type",
        "If-Match",
        "Idempotency-Key",
        "X-Correlation-Id",
    }


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/things/1"), ("GET", "/v1/nothing"), ("GET", "/v1/mine")]
)
def test_every_response_has_cors_headers(call: Call, method: str, path: str) -> None:
    headers = call(method, path, headers={"Origin": ORIGIN})["headers"]
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Vary"] == "Origin"
    assert set(headers["Access-Control-Expose-Headers"].split(", ")) == {
        "Retry-After",
        "ETag",
        "X-Correlation-Id",
    }


def test_other_origins_get_no_cors_header(call: Call) -> None:
    headers = call("GET", "/v1/things/1", headers={"Origin": "https://evil.example"})["headers"]
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


def test_a_wildcard_admits_every_origin_without_credentials(call: Call) -> None:
    headers = call(
        "GET", "/v1/things/1", headers={"Origin": "https://any.example"}, origins=("*",)
    )["headers"]
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers


def test_correlation_id_is_returned_and_logged(
    call: Call, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    response = call("GET", "/v1/things/secret-thing", headers={"X-Correlation-Id": "trace-1"})
    assert response["headers"]["X-Correlation-Id"] == "trace-1"
    (line,) = logged()
    assert line["correlation_id"] == "trace-1"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/things/{thingId}", 200)
    assert "secret-thing" not in json.dumps(line)


def test_log_lines_have_the_problem_code_and_the_kind_of_caller_and_the_access_log_id(
    call: Call, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    anonymous, registered = caller().to_context(), caller("user").to_context()
    for path, context in (
        ("/v1/mine", registered),
        ("/v1/mine", anonymous),
        ("/v1/nothing", None),
        ("/v1/registered", anonymous),
    ):
        call("GET", path, authorizer=context)
    lines = logged()
    assert [(line.get("code"), line.get("caller")) for line in lines] == [
        (None, "registered"),
        (None, "anonymous"),
        ("not_found", "nobody"),
        ("anonymous_not_allowed", None),
    ]
    assert all(line["api_request_id"] for line in lines)


def test_the_log_names_the_caller_unless_the_operation_is_anonymous(
    call: Call, operations: dict[str, Operation], logged: Callable[[], list[dict[str, Any]]]
) -> None:
    def public(request: Request) -> Response[Any]:
        request.anonymous = False
        return mine(request)

    for path in ("/v1/mine", "/v1/hidden"):
        call("GET", path, authorizer=caller("user").to_context())
    operations["hidden"] = public
    call("GET", "/v1/hidden", authorizer=caller("user").to_context())
    assert [line.get("user_id") for line in logged()] == ["user-1", None, "user-1"]


def test_an_unexpected_error_is_logged_and_hidden_from_the_caller(
    call: Call, operations: dict[str, Operation], logged: Callable[[], list[dict[str, Any]]]
) -> None:
    def fail(request: Request) -> Response[Any]:
        raise RuntimeError("the table is called users")

    operations["get"] = fail
    response = call("GET", "/v1/things/1", headers={"Origin": ORIGIN})
    problem(response, 500, "internal_error")
    assert "users" not in response["body"]
    assert response["headers"]["Access-Control-Allow-Origin"] == ORIGIN
    assert any("the table is called users" in line.get("exception", "") for line in logged())


def test_a_response_that_cannot_be_encoded_becomes_a_500(
    call: Call, operations: dict[str, Operation]
) -> None:
    operations["get"] = lambda _: Response(body=object())
    problem(call("GET", "/v1/things/1"), 500)


def _client_error(code: str, status: int) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "x"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "GetItem")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectTimeoutError(endpoint_url="https://x"), 503),
        (_client_error("InternalServerError", 500), 503),
        (_client_error("ThrottlingException", 400), 503),
        (_client_error("AccessDeniedException", 400), 500),
    ],
)
def test_an_aws_outage_returns_503_and_a_call_that_aws_denies_returns_500(
    call: Call, operations: dict[str, Operation], error: Exception, status: int
) -> None:
    def fail(request: Request) -> Response[Any]:
        raise error

    operations["get"] = fail
    problem(call("GET", "/v1/things/1"), status)


def test_an_unknown_event_returns_500(
    operations: dict[str, Operation], logger: Logger, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    router = Router(
        ROUTES,
        operations,
        authenticator=Authenticator(from_authorizer, FakeSessions()),
        logger=logger,
        cors_origins=("*",),
    )
    response = router({"Records": []}, None)
    problem(response, 500)
    assert response["headers"]["Access-Control-Allow-Origin"] == "*"
    (line,) = logged()
    assert line["correlation_id"] == response["headers"]["X-Correlation-Id"]


def test_bodies_are_checked_after_access_and_before_the_operation(call: Call) -> None:
    problem(call("POST", "/v1/things", "{"), 400)
    problem(call("POST", "/v1/things", "x", headers={"Content-Type": "text/plain"}), 415)
    assert call("POST", "/v1/things", {})["statusCode"] == 200


def test_caller_comes_from_the_authorizer(call: Call) -> None:
    response = call("GET", "/v1/mine", authorizer=caller("user").to_context())
    assert document(response) == {"userId": "user-1"}
    problem(call("GET", "/v1/mine"), 401)


def test_routes_and_operations_must_match(logger: Logger) -> None:
    authenticator = Authenticator(from_authorizer, FakeSessions())
    with pytest.raises(AssertionError, match="define both a route and a method for"):
        Router(ROUTES, {"get": echo}, authenticator=authenticator, logger=logger, cors_origins=())
    with pytest.raises(AssertionError, match="idempotent routes require"):
        Router(
            (Route("POST", "/x", AUTHENTICATED, "x", idempotent=True),),
            {"x": echo},
            authenticator=authenticator,
            logger=logger,
            cors_origins=(),
        )
    with pytest.raises(AssertionError, match="twice"):
        RouteTable([ROUTES[0], ROUTES[0]])
