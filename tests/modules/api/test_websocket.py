"""Tests the WebSocket API: routes, ticket, stage and addresses."""

from __future__ import annotations

import json
import re

import pytest

from tests.modules.service_stacks import function_name, synthesize_services
from tests.modules.synthesis import Synthesized, environment

ROUTES = {
    "$connect",
    "$disconnect",
    "$default",
    "join_room",
    "leave_room",
    "send_message",
    "typing_start",
    "typing_stop",
    "mark_read",
    "ping",
}


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("prod"), tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("local"), tmp_path_factory.mktemp("local"))


def test_frames_are_routed_by_action_to_the_live_version_of_chat(prod: Synthesized) -> None:
    api = prod.find_only("aws_apigatewayv2_api", name="platform-websocket-prod")
    assert api["protocol_type"] == "WEBSOCKET"
    assert api["route_selection_expression"] == "$request.body.action"
    assert {route["route_key"] for route in prod.all("aws_apigatewayv2_route")} == ROUTES
    (integration,) = prod.document["resource"]["aws_apigatewayv2_integration"]
    targets = {route["target"] for route in prod.all("aws_apigatewayv2_route")}
    assert targets == {f"integrations/${{aws_apigatewayv2_integration.{integration}.id}}"}
    only = prod.find_only("aws_apigatewayv2_integration")
    assert only["integration_type"] == "AWS_PROXY"
    assert function_name(prod, only["integration_uri"]) == "chat-lambda-prod"


def test_connecting_requires_a_ticket(prod: Synthesized) -> None:
    authorizer = prod.find_only("aws_apigatewayv2_authorizer")
    assert authorizer["authorizer_type"] == "REQUEST"
    assert authorizer["identity_sources"] == ["route.request.querystring.ticket"]
    assert function_name(prod, authorizer["authorizer_uri"]) == "authorizer-lambda-prod"
    authorized = [
        r for r in prod.all("aws_apigatewayv2_route") if r["authorization_type"] == "CUSTOM"
    ]
    assert [route["route_key"] for route in authorized] == ["$connect"]
    assert "authorizer_id" in authorized[0]


def test_functions_can_be_invoked_only_from_this_api(prod: Synthesized) -> None:
    sources = {
        permission["source_arn"].split("execution_arn}")[1]
        for permission in prod.all("aws_lambda_permission")
        if "aws_apigatewayv2_api" in permission["source_arn"]
    }
    assert len(sources) == 2
    assert "/prod/*" in sources
    assert any(
        re.match(r"/authorizers/\$\{aws_apigatewayv2_authorizer\.", source) for source in sources
    )


def test_the_stage_is_throttled_and_does_not_log_messages_or_tickets(prod: Synthesized) -> None:
    stage = prod.find_only("aws_apigatewayv2_stage", name="prod")
    settings = stage["default_route_settings"]
    # The chat function has 100 reserved executions. Each of them handles 10 frames per second.
    assert (settings["throttling_rate_limit"], settings["throttling_burst_limit"]) == (1000, 2000)
    assert settings["data_trace_enabled"] is False
    assert settings["detailed_metrics_enabled"] is True
    line = json.loads(stage["access_log_settings"]["format"])
    assert {"requestId", "route", "connectionId", "status", "integrationError"} < set(line)
    # A log line with the time of an anonymous message and the caller's id would reveal the author.
    secret = re.compile("query|header|body|principal", re.IGNORECASE)
    assert not [value for value in line.values() if secret.search(value)]


def test_the_deployment_depends_on_every_route(prod: Synthesized) -> None:
    routes = {
        f"aws_apigatewayv2_route.{name}"
        for name in prod.document["resource"]["aws_apigatewayv2_route"]
    }
    assert routes <= set(prod.find_only("aws_apigatewayv2_deployment")["depends_on"])


def test_the_websocket_api_has_a_regional_domain(prod: Synthesized) -> None:
    domain = prod.find_only("aws_apigatewayv2_domain_name", domain_name="ws.multitask.com")[
        "domain_name_configuration"
    ]
    assert (domain["endpoint_type"], domain["security_policy"]) == ("REGIONAL", "TLS_1_2")
    assert "provider" not in prod.find_only("aws_acm_certificate", domain_name="ws.multitask.com")
    assert "aws_apigatewayv2_stage" in prod.find_only("aws_apigatewayv2_api_mapping")["stage"]
    records = [
        record for record in prod.all("aws_route53_record") if record["name"] == "ws.multitask.com"
    ]
    assert {record["type"] for record in records} == {"A", "AAAA"}


def test_clients_use_the_custom_domain_and_chat_uses_the_execute_api_address(
    prod: Synthesized, local: Synthesized
) -> None:
    api = r"\$\{aws_apigatewayv2_api\.\w+\.id\}"
    outputs = prod.document["output"]
    assert outputs["ws_url"]["value"] == "wss://ws.multitask.com"
    own = rf"https://{api}\.execute-api\.us-east-1\.amazonaws\.com/prod"
    assert re.fullmatch(own, outputs["management_endpoint"]["value"])
    chat = prod.variables("chat-lambda-prod")
    assert chat["WEBSOCKET_API_ENDPOINT"] == outputs["management_endpoint"]["value"]
    emulated = rf"//127\.0\.0\.1:4566/_aws/execute-api/{api}/local"
    outputs = local.document["output"]
    assert re.fullmatch(f"wss:{emulated}", outputs["ws_url"]["value"])
    assert re.fullmatch(f"https:{emulated}", outputs["management_endpoint"]["value"])
    assert "aws_apigatewayv2_domain_name" not in local.types


def test_the_execution_log_group_has_the_log_retention_and_exists_before_the_stage(
    prod: Synthesized,
) -> None:
    groups = prod.document["resource"]["aws_cloudwatch_log_group"]
    [(label, group)] = [
        item for item in groups.items() if item[1]["name"].startswith("/aws/apigateway/${")
    ]
    assert group["retention_in_days"] == 365
    assert (
        f"aws_cloudwatch_log_group.{label}"
        in prod.find_only("aws_apigatewayv2_stage")["depends_on"]
    )
