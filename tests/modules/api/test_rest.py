"""Tests the REST API: routes, authorizer, errors, stage and domain."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from modules.api import errors, rest
from modules.api.rest import BEARER_PATTERN, RestApi
from tests.modules.service_stacks import function_name, label, rest_routes, synthesize_services
from tests.modules.synthesis import Synthesized, environment

PATHS = {
    "auth": "auth",
    "profile": "profile",
    "chat": "chat",
    "posts": "post",
    "catalog": "catalog",
    "ai": "ai",
}
"""The name of each service, by the first part of its path below /v1."""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("dev"), tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("local"), tmp_path_factory.mktemp("local"))


def test_each_service_handles_its_path_and_everything_below_with_its_live_version(
    dev: Synthesized,
) -> None:
    routes = rest_routes(dev)
    for path, service in PATHS.items():
        for address in (f"/v1/{path}", f"/v1/{path}/{{proxy+}}"):
            integration = routes["ANY", address].integration
            assert integration["type"] == "AWS_PROXY"
            assert integration["integration_http_method"] == "POST"
            assert function_name(dev, integration["uri"]) == f"{service}-lambda-dev"


def test_only_the_documented_routes_exist(dev: Synthesized) -> None:
    authorized = {path for path in PATHS if path != "auth"}
    both = {f"/v1/{path}{below}" for path in PATHS for below in ("", "/{proxy+}")}
    preflights = {f"/v1/{path}{below}" for path in authorized for below in ("", "/{proxy+}")}
    expected = {("ANY", path) for path in both} | {("OPTIONS", path) for path in preflights}
    assert set(rest_routes(dev)) == expected | {
        ("ANY", "/health"),
        ("ANY", ""),
        ("ANY", "/{proxy+}"),
    }


def test_unknown_paths_return_404_without_invoking_a_function(dev: Synthesized) -> None:
    routes = rest_routes(dev)
    responses = {
        response["resource_id"]: response
        for response in dev.all("aws_api_gateway_integration_response")
    }
    for path in ("", "/{proxy+}"):
        route = routes["ANY", path]
        assert route.method["authorization"] == "NONE"
        assert route.integration["type"] == "MOCK"
        assert json.loads(route.integration["request_templates"]["application/json"]) == {
            "statusCode": 404
        }
        response = responses.pop(route.method["resource_id"])
        assert response["status_code"].startswith("${aws_api_gateway_method_response.")
        body = json.loads(response["response_templates"]["application/json"])
        assert (body["status"], body["code"]) == (404, "not_found")
        assert (
            response["response_parameters"]["method.response.header.Content-Type"]
            == "'application/problem+json'"
        )
        assert body["correlationId"] == "$context.requestId"
        for value in response["response_parameters"].values():
            assert value.startswith("'"), "an expression could return the caller's input"
    assert not responses
    assert {response["status_code"] for response in dev.all("aws_api_gateway_method_response")} == {
        "404"
    }


def test_only_auth_health_and_preflights_have_no_authorizer(dev: Synthesized) -> None:
    (authorizer,) = dev.document["resource"]["aws_api_gateway_authorizer"]
    for (method, path), route in rest_routes(dev).items():
        public = (
            method == "OPTIONS"
            or path in {"", "/{proxy+}", "/health"}
            or re.match(r"/v1/auth(/|$)", path)
        )
        assert route.method["authorization"] == ("NONE" if public else "CUSTOM"), (method, path)
        assert ("authorizer_id" in route.method) is not bool(public)
        if not public:
            assert label(route.method["authorizer_id"]) == authorizer


def test_the_authorizer_reads_bearer_tokens_and_is_cached(dev: Synthesized) -> None:
    authorizer = dev.find_only("aws_api_gateway_authorizer")
    assert authorizer["type"] == "TOKEN"
    assert authorizer["identity_source"] == "method.request.header.Authorization"
    assert authorizer["authorizer_result_ttl_in_seconds"] == 300
    assert function_name(dev, authorizer["authorizer_uri"]) == "authorizer-lambda-dev"


@pytest.mark.parametrize("header", ["Bearer ey-J.e_Y.x1", "bearer a.b.c", "BEARER  a.b.c"])
def test_a_bearer_token_reaches_the_authorizer(header: str) -> None:
    assert re.fullmatch(BEARER_PATTERN, header)


@pytest.mark.parametrize(
    "header", ["", "a.b.c", "Basic a.b.c", "Bearer", "Bearer a.b", "Bearer a.b.", "Bearer a.b.c d"]
)
def test_other_authorization_headers_do_not_reach_the_authorizer(header: str) -> None:
    assert not re.fullmatch(BEARER_PATTERN, header)


def test_a_function_can_be_invoked_only_from_its_own_routes_of_this_stage(dev: Synthesized) -> None:
    allowed: dict[str, set[str]] = {}
    for permission in dev.all("aws_lambda_permission"):
        if permission["principal"] == "events.amazonaws.com":
            assert "catalog-sweep" in dev.find_only("aws_cloudwatch_event_rule")["name"]
            continue
        assert permission["principal"] == "apigateway.amazonaws.com"
        assert function_name(dev, permission["qualifier"])
        function = dev.document["resource"]["aws_lambda_function"][
            label(permission["function_name"])
        ]["function_name"]
        if "aws_api_gateway_rest_api" in permission["source_arn"]:
            source = permission["source_arn"].split("execution_arn}")[1]
            allowed.setdefault(function, set()).add(source)
    for path, service in PATHS.items():
        assert allowed.pop(f"{service}-lambda-dev") == {f"/dev/*/v1/{path}", f"/dev/*/v1/{path}/*"}
    assert allowed.pop("health-lambda-dev") == {"/dev/*/health"}
    (authorizer,) = allowed.pop("authorizer-lambda-dev")
    assert authorizer.startswith("/authorizers/${aws_api_gateway_authorizer.")
    assert not allowed


def test_the_invoke_permissions_of_a_function_are_created_sequentially(dev: Synthesized) -> None:
    first_permissions: dict[str, int] = {}
    for permission in dev.all("aws_lambda_permission"):
        first_permissions.setdefault(permission["function_name"], 0)
        predecessors = [
            name
            for name in permission.get("depends_on", [])
            if name.startswith("aws_lambda_permission.")
        ]
        assert len(predecessors) <= 1
        for name in predecessors:
            before = dev.document["resource"]["aws_lambda_permission"][name.split(".")[1]]
            assert before["function_name"] == permission["function_name"]
        first_permissions[permission["function_name"]] += not predecessors
    assert len(first_permissions) == 8
    assert set(first_permissions.values()) == {1}


def test_gateway_errors_are_problem_documents_with_the_same_status(dev: Synthesized) -> None:
    statuses = {}
    for response in dev.all("aws_api_gateway_gateway_response"):
        body = json.loads(response["response_templates"]["application/json"])
        headers = response["response_parameters"]
        assert set(body) == {
            *("type", "title", "status", "detail", "code", "errors"),
            "correlationId",
        }
        assert body["correlationId"] == "$context.requestId"
        # Texts in quotes are constants. A variable of the request would return the caller's input.
        assert all(value.startswith("'") for value in headers.values())
        assert response["status_code"] == str(body["status"])
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
        exposed = headers["gatewayresponse.header.Access-Control-Expose-Headers"]
        assert exposed == "'Retry-After,ETag,X-Correlation-Id'"
        assert "gatewayresponse.header.Access-Control-Allow-Credentials" not in headers
        assert ("gatewayresponse.header.Retry-After" in headers) is (body["status"] == 429)
        assert ("gatewayresponse.header.WWW-Authenticate" in headers) is (body["status"] == 401)
        statuses[response["response_type"]] = body["status"]
    assert statuses == {
        "UNAUTHORIZED": 401,
        "ACCESS_DENIED": 403,
        "WAF_FILTERED": 403,
        "MISSING_AUTHENTICATION_TOKEN": 404,
        "RESOURCE_NOT_FOUND": 404,
        "REQUEST_TOO_LARGE": 413,
        "UNSUPPORTED_MEDIA_TYPE": 415,
        "THROTTLED": 429,
        "INTEGRATION_FAILURE": 504,
        "INTEGRATION_TIMEOUT": 504,
        "DEFAULT_4XX": 400,
        "DEFAULT_5XX": 500,
    }


def test_the_stage_has_traces_throttling_and_a_web_acl_and_logs_no_queries(
    dev: Synthesized,
) -> None:
    stage = dev.find_only("aws_api_gateway_stage")
    assert stage["stage_name"] == "dev"
    assert stage["xray_tracing_enabled"] is True
    line = json.loads(stage["access_log_settings"]["format"])
    assert {"requestId", "time", "method", "resourcePath", "path", "status", "latency"} < set(line)
    assert {"integrationError", "sourceIp", "userAgent", "traceId"} < set(line)
    assert line["path"] == "$context.path"
    # A log line with the path of an anonymous item and the caller's id would reveal the author.
    assert not [value for value in line.values() if "authorizer" in value]
    assert not [
        value
        for value in line.values()
        if re.search("query|params|header|body", value, re.IGNORECASE)
    ]
    settings = dev.find_only("aws_api_gateway_method_settings")["settings"]
    # In dev, each function has 5 reserved executions. Each of them handles 10 requests per second.
    assert (settings["throttling_rate_limit"], settings["throttling_burst_limit"]) == (50, 100)
    assert settings["data_trace_enabled"] is False
    assert settings["caching_enabled"] is False
    assert settings["metrics_enabled"] is False
    association = dev.find_only("aws_wafv2_web_acl_association")
    assert (
        association["web_acl_arn"]
        == "arn:aws:wafv2:us-east-1:111122223333:regional/webacl/multitask-waf/1"
    )
    assert association["resource_arn"].startswith("${aws_api_gateway_stage.")


def test_the_log_groups_of_the_apis_have_the_environments_retention(dev: Synthesized) -> None:
    groups = [
        group
        for group in dev.all("aws_cloudwatch_log_group")
        if not group["name"].startswith("/aws/lambda/")
    ]
    assert {"/aws/apigateway/platform-api-dev", "/aws/apigateway/platform-websocket-dev"} < {
        g["name"] for g in groups
    }
    assert [
        g
        for g in groups
        if re.match(r"API-Gateway-Execution-Logs_\$\{aws_api_gateway_rest_api.*\}/dev$", g["name"])
    ]
    assert {group["retention_in_days"] for group in groups} == {7}


def test_the_stages_log_nothing_if_the_account_cannot_log(tmp_path: Path) -> None:
    dev = environment("dev")
    silent = dev.model_copy(
        update={"capabilities": dev.capabilities.model_copy(update={"api_gateway_account": False})}
    )
    result = synthesize_services(silent, tmp_path)
    assert "access_log_settings" not in result.find_only("aws_api_gateway_stage")
    assert "access_log_settings" not in result.find_only("aws_apigatewayv2_stage")
    assert result.find_only("aws_api_gateway_method_settings")["settings"]["logging_level"] == "OFF"


def test_the_deployment_depends_on_every_route_and_error_response(dev: Synthesized) -> None:
    deployment = dev.find_only("aws_api_gateway_deployment")
    resources = dev.document["resource"]
    for type_ in (
        "aws_api_gateway_method",
        "aws_api_gateway_integration",
        "aws_api_gateway_integration_response",
        "aws_api_gateway_gateway_response",
    ):
        assert {f"{type_}.{name}" for name in resources[type_]} <= set(deployment["depends_on"])
    assert deployment["lifecycle"]["create_before_destroy"] is True


def test_the_deployment_is_replaced_only_when_its_content_changes(
    dev: Synthesized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(result: Synthesized) -> str:
        value: str = result.find_only("aws_api_gateway_deployment")["triggers"]["configuration"]
        return value

    assert re.fullmatch("[0-9a-f]{64}", digest(dev))
    assert digest(synthesize_services(environment("dev"), tmp_path)) == digest(dev)
    changed = {**errors.GATEWAY_ERRORS, "QUOTA_EXCEEDED": errors.GATEWAY_ERRORS["THROTTLED"]}
    monkeypatch.setattr(rest, "GATEWAY_ERRORS", changed)
    assert digest(synthesize_services(environment("dev"), tmp_path)) != digest(dev)
    monkeypatch.undo()
    monkeypatch.setattr(RestApi, "add_health", lambda *_: None)
    assert digest(synthesize_services(environment("dev"), tmp_path)) != digest(dev)


def test_the_rest_api_has_an_edge_optimized_custom_domain(dev: Synthesized) -> None:
    assert dev.find_only("aws_api_gateway_rest_api", name="platform-api-dev")[
        "endpoint_configuration"
    ]["types"] == ["EDGE"]
    domain = dev.find_only("aws_api_gateway_domain_name")
    assert domain["domain_name"] == "api-dev.multitask.com"
    assert domain["endpoint_configuration"]["types"] == ["EDGE"]
    assert domain["security_policy"] == "TLS_1_2"
    assert (
        dev.find_only("aws_acm_certificate", domain_name="api-dev.multitask.com")["provider"]
        == "aws.edge"
    )
    records = [r for r in dev.all("aws_route53_record") if r["name"] == "api-dev.multitask.com"]
    assert {record["type"] for record in records} == {"A", "AAAA"}
    assert all("cloudfront_domain_name" in record["alias"]["name"] for record in records)
    assert dev.document["output"]["api_url"]["value"] == "https://api-dev.multitask.com"


def test_without_domains_the_rest_api_has_an_emulator_or_execute_api_address(
    local: Synthesized, tmp_path: Path
) -> None:
    assert (
        not {"aws_api_gateway_domain_name", "aws_acm_certificate", "aws_route53_record"}
        & local.types
    )
    api = r"\$\{aws_api_gateway_rest_api\..+\.id\}"
    pattern = rf"https://127\.0\.0\.1:4566/restapis/{api}/local/_user_request_"
    assert re.fullmatch(pattern, local.document["output"]["api_url"]["value"])
    bare = synthesize_services(environment("dev", domains=None, hosted_zone_id=None), tmp_path)
    pattern = rf"https://{api}\.execute-api\.us-east-1\.amazonaws\.com/dev"
    assert re.fullmatch(pattern, bare.document["output"]["api_url"]["value"])


def test_a_protected_route_that_is_added_before_the_authorizer_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RestApi, "use_authorizer", lambda *_: None)
    with pytest.raises(ValueError, match=r"ANY /v1/profile .*use_authorizer"):
        synthesize_services(environment("dev"), tmp_path)
