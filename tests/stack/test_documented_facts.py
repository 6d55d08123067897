"""Compares the synthesized stacks with documented_facts.py.

That file contains facts from the platform's specification.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.stack.documented_facts import (
    BEHIND_AUTHORIZER,
    COUNTS,
    DASHBOARD,
    DOCUMENTED,
    ENVIRONMENTS,
    FUNCTIONS,
    HEALTH_TABLES,
    PROVIDER,
    ROUTES,
    SETTINGS,
    TABLES,
    TERRAFORM_VERSION,
    Count,
    Documented,
)
from tests.stack.stacks import Stack, find_value


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def stack(request: pytest.FixtureRequest, synthesized: Path) -> Stack:
    return Stack(request.param, synthesized / request.param)


def name(item: Documented | Count) -> str:
    return "-".join(
        [item.type, *(value for value in item.where.values() if isinstance(value, str))]
    )


@pytest.mark.parametrize(
    ("stack", "documented"),
    [
        pytest.param(environment, item, id=f"{environment}-{name(item)}")
        for environment in ENVIRONMENTS
        for item in DOCUMENTED
        if environment in item.environments
    ],
    indirect=["stack"],
)
def test_a_resource_has_the_documented_values(stack: Stack, documented: Documented) -> None:
    resource = stack.find_only(documented.type, documented.where)
    differing = {
        path: (find_value(resource, path), stack.fill_environment(value))
        for path, value in documented.facts.items()
        if not stack.matches(find_value(resource, path), value)
    }
    assert not differing, f"path: (actual, documented): {differing}"


@pytest.mark.parametrize("count", COUNTS, ids=name)
def test_the_number_of_resources_is_as_documented(stack: Stack, count: Count) -> None:
    assert len(stack.find(count.type, count.where)) == stack.fill_environment(count.number)


@pytest.mark.parametrize("path", SETTINGS)
def test_the_backend_and_the_provider_are_as_documented(stack: Stack, path: str) -> None:
    assert stack.matches(find_value(stack.document, path), SETTINGS[path]), find_value(
        stack.document, path
    )


def test_the_stack_requires_the_documented_terraform_version(stack: Stack) -> None:
    assert (
        f'required_version = "{TERRAFORM_VERSION}"' in (stack.directory / "versions.tf").read_text()
    )


def test_every_provider_sets_the_tags_and_allows_one_account(stack: Stack) -> None:
    providers = stack.document["provider"]["aws"]
    for provider in providers:
        for path, value in PROVIDER.items():
            assert stack.matches(find_value(provider, path), value), (
                path,
                find_value(provider, path),
            )
        assert len(provider["allowed_account_ids"]) == 1


def test_every_log_group_has_the_documented_retention(stack: Stack) -> None:
    days = {"dev": 7, "staging": 30, "prod": 365}[stack.environment]
    assert {
        group["retention_in_days"] for group in stack.resources("aws_cloudwatch_log_group").values()
    } == {days}


def test_the_rest_api_has_the_documented_routes(stack: Stack) -> None:
    resources = stack.resources("aws_api_gateway_resource")

    def path(reference: str) -> str:
        label = reference.removeprefix("${aws_api_gateway_resource.").partition(".")[0]
        return (
            path(resources[label]["parent_id"]) + "/" + resources[label]["path_part"]
            if label in resources
            else ""
        )

    routes: dict[str, set[str]] = defaultdict(set)
    for method in stack.resources("aws_api_gateway_method").values():
        where = path(method["resource_id"])
        routes[where].add(method["http_method"])
        authorized = method["http_method"] == "ANY" and where.startswith(BEHIND_AUTHORIZER)
        assert (method["authorization"] == "CUSTOM") == authorized, (where, method)
    assert routes == ROUTES


def test_every_route_invokes_the_live_alias_of_a_function(stack: Stack) -> None:
    for type_, attribute in (
        ("aws_api_gateway_integration", "uri"),
        ("aws_apigatewayv2_integration", "integration_uri"),
    ):
        for integration in stack.resources(type_).values():
            # Mock integrations return 404 for unknown paths and invoke no Lambda function.
            if integration.get("type") != "MOCK":
                assert integration[attribute].startswith("${aws_lambda_alias."), integration


def test_the_main_dashboard_shows_every_function_and_table(stack: Stack) -> None:
    dashboard = stack.find_only(
        "aws_cloudwatch_dashboard", {"dashboard_name": "multitask-platform-{env}"}
    )
    shown: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for widget in json.loads(stack.resolve_references(dashboard["dashboard_body"]))["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            if len(metric) >= 4 and isinstance(metric[0], str):
                shown[metric[0]].add((metric[1], metric[3]))
    expected = {
        "AWS/Lambda": [f"{function}-lambda-{stack.environment}" for function in FUNCTIONS],
        "AWS/DynamoDB": [stack.fill_environment(table.where["name"]) for table in TABLES],
    }
    for namespace, metrics in DASHBOARD.items():
        assert {(metric, of) for metric in metrics for of in expected[namespace]} <= shown[
            namespace
        ]


def test_the_cost_dashboard_shows_estimated_charges(stack: Stack) -> None:
    bodies = [
        board["dashboard_body"] for board in stack.resources("aws_cloudwatch_dashboard").values()
    ]
    metrics = [
        m
        for body in bodies
        for w in json.loads(body)["widgets"]
        for m in w["properties"].get("metrics", [])
    ]
    assert ["AWS/Billing", "EstimatedCharges", "Currency", "USD"] in [
        metric[:4] for metric in metrics
    ]


def test_the_health_function_checks_the_documented_tables(stack: Stack) -> None:
    variables = find_value(
        stack.find_only("aws_lambda_function", {"function_name": "health-lambda-{env}"}),
        "environment.variables",
    )
    assert stack.fill_environment(HEALTH_TABLES) <= set(
        stack.resolve_references(variables["DYNAMODB_TABLES"]).split(",")
    )


def test_names_follow_the_documented_pattern(stack: Stack) -> None:
    """Names are {service}-{resource}-{environment}.

    Checks only the last part, because some documented names, such as
    multitask-platform-{environment}, contain no service and resource.
    """
    attributes: dict[str, Any] = {
        "aws_dynamodb_table": "name",
        "aws_lambda_function": "function_name",
        "aws_iam_role": "name",
        "aws_sns_topic": "name",
        "aws_sqs_queue": "name",
        "aws_cloudwatch_metric_alarm": "alarm_name",
        "aws_cloudwatch_dashboard": "dashboard_name",
        "aws_s3_bucket": "bucket",
        "aws_wafv2_web_acl": "name",
    }
    for type_, attribute in attributes.items():
        for block in stack.resources(type_).values():
            # SQS requires names of FIFO queues to end in .fifo.
            assert block[attribute].removesuffix(".fifo").endswith(f"-{stack.environment}"), block[
                attribute
            ]
